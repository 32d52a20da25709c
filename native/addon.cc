// The one file that knows both sides: Node-API above, native/core, native/preap and
// native/scan below.
// Every function here is typed in src/native.ts, its only caller. Arguments are
// checked there; what is checked here again would crash the process otherwise.
#include <napi.h>
#include <uv.h>

#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "core/lychgate.h"
#include "preap/preap.h"
#include "scan/procscan.h"

namespace {

// One for each arm(): libuv owns it until the close callback has run.
uv_async_t* async = nullptr;
napi_env main_env = nullptr;
Napi::FunctionReference on_wake;

// In a signal handler. uv_async_send is documented as safe there; it writes to
// an eventfd at most once per turn of the loop.
void Wake(void*) { uv_async_send(async); }

void OnAsync(uv_async_t*) {
  Napi::Env env(main_env);
  Napi::HandleScope scope(env);
  if (on_wake.IsEmpty()) return;
  on_wake.MakeCallback(env.Global(), {});
  // A throwing callback is the policy code's fault, and it must not end PID 1:
  // hand it to process 'uncaughtException', where it is logged.
  if (env.IsExceptionPending()) napi_fatal_exception(env, env.GetAndClearPendingException().Value());
}

Napi::Value Fail(Napi::Env env, const char* what, int error) {
  Napi::Error e = Napi::Error::New(env, std::string(what) + ": " + strerror(error));
  e.Set("errno", Napi::Number::New(env, error));
  e.Set("code", Napi::String::New(env, uv_err_name(-error)));
  e.ThrowAsJavaScriptException();
  return env.Undefined();
}

void CloseAsync() {
  if (async == nullptr) return;
  on_wake.Reset();
  uv_close(reinterpret_cast<uv_handle_t*>(async),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_async_t*>(handle); });
  async = nullptr;
}

void AtExit(void*) {
  lg_disarm();
  CloseAsync();
}

// arm(onWake: () => void, runtimeIgnored: number[]): void
Napi::Value Arm(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (async != nullptr) return Fail(env, "arm", EBUSY);
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return Fail(env, "event loop", EINVAL);
  async = new uv_async_t;
  if (uv_async_init(loop, async, OnAsync) != 0) {
    delete async;
    async = nullptr;
    return Fail(env, "uv_async_init", EMFILE);
  }
  main_env = env;
  on_wake = Napi::Persistent(info[0].As<Napi::Function>());
  uint64_t ignored = 0;
  Napi::Array list = info[1].As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); i++)
    ignored |= uint64_t{1} << (list.Get(i).ToNumber().Int32Value() - 1);
  int error = lg_arm(Wake, nullptr, ignored);
  if (error == 0) return env.Undefined();
  CloseAsync();
  return Fail(env, "taking over the signal handlers", -error);
}

bool Flag(const Napi::Object& o, const char* name) { return o.Get(name).ToBoolean().Value(); }
int64_t Nanoseconds(const Napi::Object& o, const char* name) {
  return static_cast<int64_t>(o.Get(name).ToNumber().DoubleValue() * 1e6);
}

// configure(config: CoreConfig): void
Napi::Value Configure(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Object o = info[0].As<Napi::Object>();
  Napi::Uint8Array signals = o.Get("signalMap").As<Napi::Uint8Array>();
  Napi::Uint8Array exits = o.Get("exitMap").As<Napi::Uint8Array>();
  lg_config config{};
  if (signals.ByteLength() != sizeof config.signal_map || exits.ByteLength() != sizeof config.exit_map)
    return Fail(env, "configure", EINVAL);
  memcpy(config.signal_map, signals.Data(), sizeof config.signal_map);
  memcpy(config.exit_map, exits.Data(), sizeof config.exit_map);
  config.group = Flag(o, "group");
  config.subreaper = Flag(o, "subreaper");
  config.report_reaped = Flag(o, "reportReaped");
  config.report_forwarded = Flag(o, "reportForwarded");
  config.parent_death_signal = o.Get("parentDeathSignal").ToNumber().Int32Value();
  config.grace_ns = Nanoseconds(o, "graceMs");
  config.exit_deadline_ns = Nanoseconds(o, "exitDeadlineMs");
  const char* failed = nullptr;
  int error = lg_configure(&config, &failed);
  if (error != 0) return Fail(env, failed != nullptr ? failed : "configure", -error);
  return env.Undefined();
}

// Strings may hold any bytes but NUL: they come as buffers where a JavaScript
// string could not hold them.
std::vector<std::string> Strings(const Napi::Array& list) {
  std::vector<std::string> out;
  out.reserve(list.Length());
  for (uint32_t i = 0; i < list.Length(); i++) {
    Napi::Value v = list.Get(i);
    if (v.IsBuffer()) {
      auto b = v.As<Napi::Buffer<char>>();
      out.emplace_back(b.Data(), b.Length());
    } else {
      out.push_back(v.ToString().Utf8Value());
    }
  }
  return out;
}

std::vector<char*> Pointers(std::vector<std::string>& list) {
  std::vector<char*> out;
  out.reserve(list.size() + 1);
  for (auto& s : list) out.push_back(&s[0]);
  out.push_back(nullptr);
  return out;
}

// spawn(what: SpawnRequest): SpawnResult
Napi::Value Spawn(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Object o = info[0].As<Napi::Object>();
  std::vector<std::string> args = Strings(o.Get("argv").As<Napi::Array>()), vars;
  std::vector<char*> argv = Pointers(args), envp;
  if (args.empty()) return Fail(env, "spawn", EINVAL);
  std::vector<int> fds;
  lg_spawn_request what{};
  what.file = argv[0];
  what.argv = argv.data();
  if (o.Get("env").IsArray()) {
    vars = Strings(o.Get("env").As<Napi::Array>());
    envp = Pointers(vars);
    what.envp = envp.data();
  }
  if (o.Get("fds").IsArray()) {
    Napi::Array list = o.Get("fds").As<Napi::Array>();
    for (uint32_t i = 0; i < list.Length(); i++) fds.push_back(list.Get(i).ToNumber().Int32Value());
    fds.push_back(-1);  // never an empty vector, whose data() may be null
    what.fds = fds.data();
    what.nfds = list.Length();
  }
  what.nofile = o.Get("nofile").ToNumber().Int64Value();
  lg_spawned out;
  lg_spawn(&what, &out);
  Napi::Object result = Napi::Object::New(env);
  result.Set("pid", out.pid);
  result.Set("errno", out.error);
  result.Set("error", out.error != 0 ? Napi::String::New(env, strerror(out.error)) : env.Null());
  result.Set("step", out.step != nullptr ? Napi::String::New(env, out.step) : env.Null());
  result.Set("foreground", out.foreground);
  return result;
}

// drain(into: Buffer): number of records of eventSize bytes
Napi::Value Drain(const Napi::CallbackInfo& info) {
  auto buffer = info[0].As<Napi::Buffer<char>>();
  size_t n = lg_drain(reinterpret_cast<lg_event*>(buffer.Data()), buffer.Length() / sizeof(lg_event));
  return Napi::Number::New(info.Env(), static_cast<double>(n));
}

// stats(): CoreStats
Napi::Value Stats(const Napi::CallbackInfo& info) {
  lg_stats_out s;
  lg_stats(&s);
  Napi::Object o = Napi::Object::New(info.Env());
  o.Set("reaped", static_cast<double>(s.reaped));
  o.Set("forwarded", static_cast<double>(s.forwarded));
  o.Set("droppedEvents", static_cast<double>(s.dropped_events));
  o.Set("droppedSignals", static_cast<double>(s.dropped_signals));
  o.Set("pid", s.pid);
  o.Set("ended", s.ended);
  o.Set("status", s.status);
  o.Set("stopped", s.stopped);
  return o;
}

int Int(const Napi::CallbackInfo& info, size_t i) { return info[i].ToNumber().Int32Value(); }

// The rest are one call each; those that can fail return an errno, 0 = done.
Napi::Value WakeOnReap(const Napi::CallbackInfo& info) {
  lg_wake_on_reap(info[0].ToBoolean().Value());
  return info.Env().Undefined();
}
Napi::Value SetExitDeadline(const Napi::CallbackInfo& info) {
  double ms = info[0].ToNumber().DoubleValue();
  return Napi::Number::New(info.Env(), -lg_set_exit_deadline(static_cast<int64_t>(ms * 1e6)));
}
Napi::Value Suspend(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), lg_suspend(Int(info, 0)));
}
Napi::Value SignalAll(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), -lg_signal_all(Int(info, 0)));
}
Napi::Value SignalExact(const Napi::CallbackInfo& info) {
  auto start = static_cast<uint64_t>(info[1].ToNumber().Int64Value());
  return Napi::Number::New(info.Env(), -lg_signal_exact(Int(info, 0), start, Int(info, 2)));
}
Napi::Value Disarm(const Napi::CallbackInfo& info) {
  lg_disarm();
  CloseAsync();
  return info.Env().Undefined();
}
Napi::Value Finish(const Napi::CallbackInfo& info) { lg_finish(Int(info, 0)); }

using Scan = struct lg_procscan;  // the function has the same name

// One member of every row, in memory of V8's own: works where external memory
// is forbidden too.
template <typename Array, typename Member>
Array Column(Napi::Env env, const Scan& scan, Member lg_process::* member) {
  Array column = Array::New(env, scan.count);
  auto* data = column.Data();
  for (size_t i = 0; i < scan.count; i++)
    data[i] = static_cast<std::remove_reference_t<decltype(*data)>>(scan.processes[i].*member);
  return column;
}

// scanProc(dir: string): ProcessColumns
Napi::Value ScanProc(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string dir = info[0].ToString().Utf8Value();
  std::string what = "reading " + dir;
  if (dir.find('\0') != std::string::npos) return Fail(env, what.c_str(), EINVAL);
  Scan scan;
  int error = lg_procscan(dir.c_str(), &scan);
  if (error != 0) return Fail(env, what.c_str(), -error);
  Napi::Object o = Napi::Object::New(env);
  o.Set("count", static_cast<double>(scan.count));
  o.Set("pid", Column<Napi::Int32Array>(env, scan, &lg_process::pid));
  o.Set("ppid", Column<Napi::Int32Array>(env, scan, &lg_process::ppid));
  o.Set("pgrp", Column<Napi::Int32Array>(env, scan, &lg_process::pgrp));
  o.Set("session", Column<Napi::Int32Array>(env, scan, &lg_process::session));
  o.Set("state", Column<Napi::Uint8Array>(env, scan, &lg_process::state));
  o.Set("threads", Column<Napi::Int32Array>(env, scan, &lg_process::threads));
  o.Set("flags", Column<Napi::Uint32Array>(env, scan, &lg_process::flags));
  o.Set("cpuTicks", Column<Napi::Float64Array>(env, scan, &lg_process::cpu_ticks));
  o.Set("startTicks", Column<Napi::Float64Array>(env, scan, &lg_process::start_ticks));
  o.Set("exitCode", Column<Napi::Int32Array>(env, scan, &lg_process::exit_code));
  auto comm = Napi::Buffer<char>::New(env, scan.count * LG_COMM);
  for (size_t i = 0; i < scan.count; i++)
    memcpy(comm.Data() + i * LG_COMM, scan.processes[i].comm, LG_COMM);
  o.Set("comm", comm);
  o.Set("vanished", static_cast<double>(scan.vanished));
  o.Set("unreadable", static_cast<double>(scan.unreadable));
  o.Set("unreadableErrno", scan.unreadable_error);
  o.Set("malformed", static_cast<double>(scan.malformed));
  lg_procscan_free(&scan);
  return o;
}

// In the order of enum lg_refusal.
const char* const kRefusals[] = {nullptr,   "vanished", "permission",      "traced",  "stopped",
                                 "deaf",    "foreign",  "seccomp",         "seccomp-unknown",
                                 "no-room", "busy",     "stuck",           "failed"};

// preap(what: PreapRequest): PreapResult
Napi::Value Preap(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Object o = info[0].As<Napi::Object>();
  auto pids = o.Get("pids").As<Napi::Int32Array>();
  auto inner = o.Get("inner").As<Napi::Int32Array>();
  auto starts = o.Get("starts").As<Napi::Float64Array>();
  size_t count = pids.ElementLength();
  if (inner.ElementLength() != count || starts.ElementLength() != count)
    return Fail(env, "preap", EINVAL);
  std::vector<lg_zombie> zombies(count + 1);
  for (size_t i = 0; i < count; i++) {
    zombies[i].pid = pids[i];
    zombies[i].inner = inner[i];
    zombies[i].start_ticks = static_cast<uint64_t>(starts[i]);
  }
  lg_preap_request request{};
  request.parent = o.Get("parent").ToNumber().Int32Value();
  request.start_ticks = static_cast<uint64_t>(o.Get("parentStart").ToNumber().Int64Value());
  request.descends = Flag(o, "descends");
  request.limit_ns = Nanoseconds(o, "limitMs");
  request.zombies = zombies.data();
  request.count = count;
  lg_preap_result out;
  lg_preap(&request, &out);
  auto outcomes = Napi::Uint8Array::New(env, count);
  for (size_t i = 0; i < count; i++) outcomes[i] = static_cast<uint8_t>(zombies[i].outcome);
  Napi::Object result = Napi::Object::New(env);
  const char* refusal = kRefusals[out.refusal];
  result.Set("refusal", refusal != nullptr ? Napi::String::New(env, refusal) : env.Null());
  result.Set("errno", out.error);
  result.Set("error", out.error != 0 ? Napi::String::New(env, strerror(out.error)) : env.Null());
  result.Set("step", out.step != nullptr ? Napi::String::New(env, out.step) : env.Null());
  result.Set("rounds", out.rounds);
  result.Set("reaped", static_cast<double>(out.reaped));
  result.Set("longestMs", static_cast<double>(out.longest_ns) / 1e6);
  result.Set("totalMs", static_cast<double>(out.total_ns) / 1e6);
  result.Set("outcomes", outcomes);
  return result;
}

// keepPreap(yes: boolean): errno
Napi::Value KeepPreap(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), -lg_preap_keep(info[0].ToBoolean().Value()));
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("eventSize", static_cast<double>(sizeof(lg_event)));
  exports.Set("arm", Napi::Function::New<Arm>(env, "arm"));
  exports.Set("configure", Napi::Function::New<Configure>(env, "configure"));
  exports.Set("spawn", Napi::Function::New<Spawn>(env, "spawn"));
  exports.Set("drain", Napi::Function::New<Drain>(env, "drain"));
  exports.Set("stats", Napi::Function::New<Stats>(env, "stats"));
  exports.Set("wakeOnReap", Napi::Function::New<WakeOnReap>(env, "wakeOnReap"));
  exports.Set("setExitDeadline", Napi::Function::New<SetExitDeadline>(env, "setExitDeadline"));
  exports.Set("suspend", Napi::Function::New<Suspend>(env, "suspend"));
  exports.Set("signalAll", Napi::Function::New<SignalAll>(env, "signalAll"));
  exports.Set("signalExact", Napi::Function::New<SignalExact>(env, "signalExact"));
  exports.Set("disarm", Napi::Function::New<Disarm>(env, "disarm"));
  exports.Set("finish", Napi::Function::New<Finish>(env, "finish"));
  exports.Set("keepPreap", Napi::Function::New<KeepPreap>(env, "keepPreap"));
  exports.Set("preap", Napi::Function::New<Preap>(env, "preap"));
  exports.Set("scanProc", Napi::Function::New<ScanProc>(env, "scanProc"));
  napi_add_env_cleanup_hook(env, AtExit, nullptr);
  return exports;
}

}  // namespace

NODE_API_MODULE(lychgate, Init)

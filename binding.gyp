{
  "targets": [
    {
      "target_name": "lychgate",
      "sources": [
        "native/addon.cc",
        "native/core/forward.c",
        "native/core/handlers.c",
        "native/core/proc.c",
        "native/core/reap.c",
        "native/core/ring.c",
        "native/core/spawn.c",
        "native/core/start.c",
        "native/core/timer.c",
        "native/core/tty.c",
        "native/preap/preap.c",
        "native/preap/restart.c",
        "native/preap/rounds.c",
        "native/preap/seccomp.c",
        "native/preap/stub.c",
        "native/preap/stub_aarch64.c",
        "native/preap/stub_x86_64.c",
        "native/preap/tracee.c",
        "native/scan/procscan.c",
        "native/scan/statline.c"
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS", "_GNU_SOURCE", "LG_OLD_GLIBC"],
      "cflags": ["-Wall", "-Wextra", "-Werror", "-fvisibility=hidden", "-O2", "-fno-strict-aliasing", "-ffunction-sections", "-fdata-sections"],
      "cflags_c": ["-std=c11"],
      "cflags_cc": ["-std=c++17", "-fno-exceptions", "-fno-rtti"],
      "ldflags": ["-Wl,--exclude-libs,ALL", "-Wl,--gc-sections", "-Wl,-z,now", "-Wl,-s"]
    },
    {
      "target_name": "lychgate-pid1",
      "type": "none",
      "actions": [
        {
          "action_name": "static program, by a compiler for musl",
          "inputs": ["native/pid1/build.sh", "<!@(ls native/core/*.c native/core/*.h native/pid1/*.c native/pid1/*.h)"],
          "outputs": ["<(PRODUCT_DIR)/lychgate-pid1"],
          "action": ["sh", "native/pid1/build.sh", "<(PRODUCT_DIR)/lychgate-pid1"]
        }
      ]
    }
  ]
}

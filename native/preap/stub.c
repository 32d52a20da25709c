/* Where the stub's code lies, and where it looks for its data: for every instruction set. */
#include "stub.h"

extern const uint8_t lg_stub_begin[] __attribute__((visibility("hidden")));
extern const uint8_t lg_stub_entry[] __attribute__((visibility("hidden")));
extern const uint8_t lg_stub_after_wait[] __attribute__((visibility("hidden")));
extern const uint8_t lg_stub_tail[] __attribute__((visibility("hidden")));
extern const uint8_t lg_stub_end[] __attribute__((visibility("hidden")));
#if defined __aarch64__
extern const uint8_t lg_stub_again[] __attribute__((visibility("hidden")));
#endif

_Static_assert(offsetof(struct lg_stub_data, mask) == 8, "the stub reads it there");
_Static_assert(offsetof(struct lg_stub_data, regs) == 16, "the stub reads it there");
_Static_assert(offsetof(struct lg_stub_data, pause) == 288, "the stub reads it there");
_Static_assert(offsetof(struct lg_stub_data, count) == 304, "the stub reads it there");
_Static_assert(offsetof(struct lg_stub_data, pids) == 308, "the stub reads it there");
_Static_assert(sizeof(struct lg_stub_data) == 448, "the code begins there");

struct lg_stub_code lg_stub_code(void) {
  return (struct lg_stub_code){
      .bytes = lg_stub_begin,
      .size = (size_t)(lg_stub_end - lg_stub_begin),
      .entry = (size_t)(lg_stub_entry - lg_stub_begin),
      .after_wait = (size_t)(lg_stub_after_wait - lg_stub_begin),
#if defined __aarch64__
      .again = (size_t)(lg_stub_again - lg_stub_begin),
#endif
      .tail = (size_t)(lg_stub_tail - lg_stub_begin),
  };
}

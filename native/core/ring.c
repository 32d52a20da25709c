/*
 * The event ring: many producers (handlers, on whatever thread the kernel
 * chose), one consumer (the main thread). Bounded queue with a turn in each
 * cell, after Dmitry Vyukov's description: a producer never waits for another
 * one, and a full ring loses the event and counts it, because reaping must
 * never wait for a reader.
 *
 * The turn of a cell is 2*lap while it is free for that lap and 2*lap+1 while
 * it holds that lap's event. So zeroed memory is an empty ring, and pages that
 * no event reached are never touched.
 */
#include "internal.h"

#define CELLS 4096u

static struct {
  _Atomic uint64_t turn;
  struct lg_event event;
} cells[CELLS];

static _Atomic uint64_t head; /* next to write */
static uint64_t tail;         /* next to read: the consumer's own */
static _Atomic uint64_t dropped;

void lg_ring_reset(void) {
  struct lg_event scrap;
  while (lg_drain(&scrap, 1) == 1) {
  }
  atomic_store(&dropped, 0);
}

void lg_push(const struct lg_event *event) {
  uint64_t at = atomic_load_explicit(&head, memory_order_relaxed);
  for (;;) {
    uint64_t free_turn = at / CELLS * 2;
    uint64_t turn = atomic_load_explicit(&cells[at % CELLS].turn, memory_order_acquire);
    if (turn < free_turn) { /* still holds what was not read a lap ago */
      atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
      return;
    }
    if (turn > free_turn) { /* another producer was here first */
      at = atomic_load_explicit(&head, memory_order_relaxed);
      continue;
    }
    if (atomic_compare_exchange_weak_explicit(&head, &at, at + 1, memory_order_relaxed,
                                              memory_order_relaxed))
      break;
  }
  cells[at % CELLS].event = *event;
  atomic_store_explicit(&cells[at % CELLS].turn, at / CELLS * 2 + 1, memory_order_release);
}

size_t lg_drain(struct lg_event *out, size_t max) {
  size_t n = 0;
  for (; n < max; n++, tail++) {
    uint64_t lap = tail / CELLS * 2;
    if (atomic_load_explicit(&cells[tail % CELLS].turn, memory_order_acquire) != lap + 1)
      break; /* empty, or its producer is not done: that one wakes us afterwards */
    out[n] = cells[tail % CELLS].event;
    atomic_store_explicit(&cells[tail % CELLS].turn, lap + 2, memory_order_release);
  }
  return n;
}

uint64_t lg_dropped_events(void) { return atomic_load(&dropped); }

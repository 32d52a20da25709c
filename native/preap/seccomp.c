/* Classic BPF as seccomp(2) has it: Documentation/userspace-api/seccomp_filter.rst and
 * seccomp_check_filter in kernel/seccomp.c, which names the instructions. */
#include "seccomp.h"

#include <linux/seccomp.h>

#ifndef SECCOMP_RET_LOG
#define SECCOMP_RET_LOG 0x7ffc0000u
#endif
#ifndef SECCOMP_RET_ACTION_FULL
#define SECCOMP_RET_ACTION_FULL 0xffff0000u
#endif

struct machine {
  uint32_t a, x, memory[BPF_MEMWORDS];
  size_t pc;
};

static bool alu(struct machine *m, const struct sock_filter *i) {
  uint32_t by = BPF_SRC(i->code) == BPF_X ? m->x : i->k;
  switch (BPF_OP(i->code)) {
    case BPF_ADD: m->a += by; return true;
    case BPF_SUB: m->a -= by; return true;
    case BPF_MUL: m->a *= by; return true;
    case BPF_DIV: return by != 0 && ((m->a /= by), true);
    case BPF_OR: m->a |= by; return true;
    case BPF_AND: m->a &= by; return true;
    case BPF_XOR: m->a ^= by; return true;
    case BPF_LSH: return by < 32 && ((m->a <<= by), true);
    case BPF_RSH: return by < 32 && ((m->a >>= by), true);
    case BPF_NEG: m->a = -m->a; return true;
    default: return false;
  }
}

static bool jump(struct machine *m, const struct sock_filter *i) {
  uint32_t with = BPF_SRC(i->code) == BPF_X ? m->x : i->k;
  bool yes;
  switch (BPF_OP(i->code)) {
    case BPF_JA: m->pc += i->k; return true; /* k < length, checked by the kernel */
    case BPF_JEQ: yes = m->a == with; break;
    case BPF_JGT: yes = m->a > with; break;
    case BPF_JGE: yes = m->a >= with; break;
    case BPF_JSET: yes = (m->a & with) != 0; break;
    default: return false;
  }
  m->pc += yes ? i->jt : i->jf;
  return true;
}

static bool load(const struct sock_filter *i, uint32_t *to, const struct machine *m, uint32_t arch,
                 uint32_t nr) {
  switch (BPF_MODE(i->code)) {
    case BPF_IMM: *to = i->k; return true;
    case BPF_LEN: *to = (uint32_t)sizeof(struct seccomp_data); return true;
    case BPF_MEM:
      if (i->k >= BPF_MEMWORDS) return false;
      *to = m->memory[i->k];
      return true;
    case BPF_ABS:
      if (BPF_CLASS(i->code) != BPF_LD) return false;
      if (i->k == offsetof(struct seccomp_data, nr)) *to = nr;
      else if (i->k == offsetof(struct seccomp_data, arch)) *to = arch;
      else return false; /* where it is called from, or an argument */
      return true;
    default: return false;
  }
}

bool lg_seccomp_allows(const struct sock_filter *program, size_t length, uint32_t arch, uint32_t nr) {
  struct machine m = {0};
  /* Jumps go forward only, so pc grows with every instruction. */
  while (m.pc < length) {
    const struct sock_filter *i = &program[m.pc++];
    bool ok = true;
    switch (BPF_CLASS(i->code)) {
      case BPF_LD: ok = load(i, &m.a, &m, arch, nr); break;
      case BPF_LDX: ok = load(i, &m.x, &m, arch, nr); break;
      case BPF_ST:
      case BPF_STX:
        ok = i->k < BPF_MEMWORDS;
        if (ok) m.memory[i->k] = BPF_CLASS(i->code) == BPF_ST ? m.a : m.x;
        break;
      case BPF_ALU: ok = alu(&m, i); break;
      case BPF_JMP: ok = jump(&m, i); break;
      case BPF_MISC:
        if (BPF_MISCOP(i->code) == BPF_TAX) m.x = m.a;
        else if (BPF_MISCOP(i->code) == BPF_TXA) m.a = m.x;
        else ok = false;
        break;
      case BPF_RET: {
        uint32_t value = (BPF_RVAL(i->code) == BPF_A ? m.a : i->k) & SECCOMP_RET_ACTION_FULL;
        return value == SECCOMP_RET_ALLOW || value == SECCOMP_RET_LOG;
      }
      default: ok = false;
    }
    if (!ok) return false;
  }
  return false;
}

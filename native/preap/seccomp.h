/* Would this seccomp filter let the system call pass? An interpreter of classic BPF. */
#ifndef LYCHGATE_SECCOMP_H
#define LYCHGATE_SECCOMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/filter.h>

/* True when the program says ALLOW or LOG of this call whatever its arguments are
 * and wherever it is made from. A program that asks for the arguments on the way
 * there, that uses an instruction that seccomp(2) does not allow, or that does not
 * end, does not. */
bool lg_seccomp_allows(const struct sock_filter *program, size_t length, uint32_t arch, uint32_t nr);

#endif

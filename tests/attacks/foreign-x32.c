// SPDX-License-Identifier: Apache-2.0
// attack: makes system calls by the x32 numbers, which have a high bit that a filter may overlook
// topic: foreign calls
// stops: system call filter that refuses that bit; most kernels have no such table
// reprove: held
// bwrap: held
#include "attack.h"

static int tried(void) {
    if (syscall(0x40000000 | SYS_getpid) == getpid()) return 1;
    return syscall(0x40000000 | SYS_unshare, 0x10000000) == 0 ? 2 : 0;
}

int main(void) {
    int got = apart(tried);
    if (got == 1 || got == 2) escaped("the x32 numbers are answered");
    held("an x32 number ends with %d (above 100: a signal)", got);
}

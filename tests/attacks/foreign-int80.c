// SPDX-License-Identifier: Apache-2.0
// attack: makes system calls by the 32-bit table (int 0x80), whose numbers a filter of the 64-bit ones takes for others
// topic: foreign calls
// stops: system call filter that looks at the architecture
// reprove: held
// bwrap: escaped
#include "attack.h"

// `unshare(CLONE_NEWUSER)` is 310 there, which is another call in the 64-bit table; `getpid` is 20.
static long call32(long number, long a) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a) : "memory", "r8", "r9", "r10", "r11");
    return result;
}
static int tried(void) { return call32(20, 0) == getpid() ? 1 : 0; }
static int tried_namespace(void) { return call32(310, 0x10000000) == 0 ? 1 : 0; }

int main(void) {
    if (apart(tried_namespace) == 1) escaped("the 32-bit table makes a user namespace");
    int got = apart(tried);
    if (got == 1) escaped("the 32-bit table answers");
    held("int 0x80 ends with %d (above 100: a signal)", got);
}

// SPDX-License-Identifier: Apache-2.0
// attack: changes to 32-bit code by a far jump, and makes a system call there
// topic: foreign calls
// stops: system call filter that looks at the architecture
// reprove: held
// bwrap: escaped
#include "attack.h"

static unsigned char *page;
static int tried(void) {
    // 32-bit: getpid by int 0x80, compared with what edi holds; then exit by int 0x80, with 1 where they are equal.
    static const unsigned char code[] = {0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0x39, 0xf8, 0x0f, 0x94, 0xc3, 0x0f, 0xb6, 0xdb,
        0xb8, 1, 0, 0, 0, 0xcd, 0x80};
    memcpy(page, code, sizeof code);
    __asm__ volatile("push $0x23\n push %0\n lretq" : : "r"((uint64_t)(uintptr_t)page), "D"((uint64_t)getpid()) : "memory");
    return 0;
}

int main(void) {
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (page == MAP_FAILED) held("mmap: %s", strerror(errno));
    int got = apart(tried);
    if (got == 1) escaped("32-bit code makes system calls");
    held("32-bit code ends with %d (above 100: a signal)", got);
}

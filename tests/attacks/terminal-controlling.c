// SPDX-License-Identifier: Apache-2.0
// attack: takes or keeps a controlling terminal, and changes what it does to its other user (TIOCSCTTY, TCSETS, TIOCSWINSZ)
// topic: terminal
// stops: session of its own, no terminal among its descriptors
// reprove: held
// bwrap: escaped
#include "attack.h"
#include <termios.h>

int main(void) {
    char name[64];
    setsid();
    for (int file = 0; file < 64; file++) {
        struct termios settings;
        struct winsize size = {1, 1, 0, 0};
        ioctl(file, TIOCSCTTY, 1);
        if (tcgetattr(file, &settings) != 0) continue;
        settings.c_lflag ^= ECHO;
        if (tcsetattr(file, TCSANOW, &settings) == 0) escaped("the settings of the terminal at descriptor %d were changed", file);
        if (ioctl(file, TIOCSWINSZ, &size) == 0) escaped("the size of the terminal at descriptor %d was changed", file);
    }
    int tty = open("/dev/tty", O_RDWR);
    if (tty >= 0) escaped("it has a controlling terminal: %s", ctermid(name));
    held("there is no terminal: %s", strerror(errno));
}

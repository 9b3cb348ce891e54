// SPDX-License-Identifier: Apache-2.0
// attack: opens the caller's terminal by its name, and by every name below /dev/pts
// topic: terminal
// stops: a /dev of its own
// reprove: held
// bwrap: held
#include "attack.h"

int main(void) {
    char name[64];
    const char *given = bait("terminal");
    for (int at = -1; at < 64; at++) {
        snprintf(name, sizeof name, "/dev/pts/%d", at);
        int tty = open(at < 0 ? given : name, O_RDWR | O_NOCTTY | O_NONBLOCK);
        if (tty < 0) continue;
        if (write(tty, "planted\n", 8) == 8) escaped("wrote to the terminal %s", at < 0 ? given : name);
    }
    held("no terminal has a name: %s", strerror(errno));
}

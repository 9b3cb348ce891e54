// SPDX-License-Identifier: Apache-2.0
// attack: leaves a daemon: forked twice, in a session of its own, with all descriptors closed
// topic: daemons
// stops: the process namespace ends with its first process
// reprove: held
// bwrap: held
// limits: seconds=20
#include "attack.h"

int main(void) {
    if (fork() == 0) {
        setsid();
        if (fork() != 0) _exit(0);
        if (chdir("/") != 0) _exit(1);
        for (int file = 0; file < 64; file++) close(file);
        for (;;) pause();
    }
    wait(NULL);
    held("a daemon is left");
}

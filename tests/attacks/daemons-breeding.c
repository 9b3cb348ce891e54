// SPDX-License-Identifier: Apache-2.0
// attack: ends and starts itself anew faster than it can be ended
// topic: daemons
// stops: the process namespace ends with its first process
// reprove: held
// bwrap: held
// limits: seconds=10 processes=256
#include "attack.h"

int main(void) {
    for (int at = 0; at < 8; at++) {
        if (fork() != 0) continue;
        setsid();
        for (;;) {
            pid_t child = fork();
            if (child > 0) _exit(0);
            if (child < 0) sched_yield();
        }
    }
    pause_ms(100);
    held("processes breed");
}

// SPDX-License-Identifier: Apache-2.0
// attack: leaves orphans that are stopped, traced by each other, or dead with nobody to see it
// topic: daemons
// stops: the process namespace ends with its first process
// reprove: held
// bwrap: held
// limits: seconds=20
#include "attack.h"
#include <sys/ptrace.h>

int main(void) {
    for (int at = 0; at < 8; at++) {
        pid_t child = fork();
        if (child != 0) continue;
        setsid();
        if (at % 3 == 0 && fork() == 0) _exit(0);
        if (at % 3 == 1) {
            pid_t traced = fork();
            if (traced == 0) for (;;) pause();
            ptrace(PTRACE_SEIZE, traced, NULL, NULL);
            ptrace(PTRACE_INTERRUPT, traced, NULL, NULL);
        }
        raise(SIGSTOP);
        for (;;) pause();
    }
    pause_ms(50);
    held("orphans are left");
}

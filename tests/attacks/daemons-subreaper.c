// SPDX-License-Identifier: Apache-2.0
// attack: makes itself the one that orphans go to, and ends the build's step while it lives on
// topic: daemons
// stops: the process namespace ends with its first process
// reprove: held
// bwrap: held
// limits: seconds=20
#include "attack.h"
#include <sys/prctl.h>

int main(void) {
    pid_t child = fork();
    if (child == 0) {
        setsid();
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
        if (fork() == 0 && fork() == 0) for (;;) pause();
        for (;;) pause();
    }
    pause_ms(30);
    held("a reaper is left");
}

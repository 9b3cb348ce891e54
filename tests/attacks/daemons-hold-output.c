// SPDX-License-Identifier: Apache-2.0
// attack: leaves a process that holds the build's output open, so that a reader of it never sees the end
// topic: daemons
// stops: what a build leaves running is ended first
// reprove: held
// bwrap: held
// limits: seconds=10
#include "attack.h"

int main(void) {
    if (fork() == 0) {
        setsid();
        for (;;) pause();
    }
    held("standard output stays open elsewhere");
}

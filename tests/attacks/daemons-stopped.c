// SPDX-License-Identifier: Apache-2.0
// attack: stops itself, so that no one sees an end (SIGSTOP to the whole group)
// topic: daemons
// stops: limit of time
// reprove: held
// bwrap: escaped
// limits: seconds=2
// ends: time-out
#include "attack.h"

int main(void) {
    kill(0, SIGSTOP);
    for (;;) pause();
}

// SPDX-License-Identifier: Apache-2.0
// attack: ends its whole process group, in which whoever started it may be (kill 0)
// topic: daemons
// stops: a process group of its own
// reprove: held
// bwrap: escaped
// limits: seconds=5
// ends: killed
#include "attack.h"

int main(void) {
    kill(0, SIGKILL);
    for (;;) pause();
}

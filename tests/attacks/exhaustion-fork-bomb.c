// SPDX-License-Identifier: Apache-2.0
// attack: starts processes until no more can be started
// topic: exhaustion
// stops: control group for processes, and a resource limit
// reprove: held
// bwrap: escaped
// limits: processes=64 seconds=20
#include "attack.h"

int main(void) {
    int made = 0;
    for (; made < 400; made++) {
        pid_t child = fork();
        if (child < 0) break;
        if (child == 0) {
            alarm(15);
            for (;;) pause();
        }
    }
    if (made == 400) escaped("400 processes run at once");
    held("after %d processes: %s", made, strerror(errno));
}

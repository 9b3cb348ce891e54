// SPDX-License-Identifier: Apache-2.0
// attack: ignores every signal that can be ignored, and does not end
// topic: daemons
// stops: limit of time; the process namespace ends with its first process
// reprove: held
// bwrap: held
// limits: seconds=2
// ends: time-out
#include "attack.h"

int main(void) {
    for (int number = 1; number < 65; number++) signal(number, SIG_IGN);
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    for (;;) {
        setpgid(0, 0);
        pause_ms(20);
    }
}

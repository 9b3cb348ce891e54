// SPDX-License-Identifier: Apache-2.0
// attack: hides in a vfork whose child never goes on, so that its parent can't be woken
// topic: daemons
// stops: limit of time; the process namespace ends with its first process
// reprove: held
// bwrap: held
// limits: seconds=2
// ends: time-out
#include "attack.h"

int main(void) {
    if (vfork() == 0) {
        for (;;) pause_ms(1000);
    }
    _exit(0);
}

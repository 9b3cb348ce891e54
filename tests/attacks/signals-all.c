// SPDX-License-Identifier: Apache-2.0
// attack: sends every signal to every process that it can see, and to one outside, its group and its parent (kill -1)
// topic: signals
// stops: process namespace of its own
// reprove: held
// bwrap: held
#include "attack.h"

int main(void) {
    // The one that sends gets none of them.
    for (int number = 1; number < 65; number++) kill(-1, number);
    int pids[] = {atoi(bait("pid")), -atoi(bait("pid")), atoi(bait("runner")), -atoi(bait("runner"))};
    for (int at = 0; at < 4; at++) {
        for (int number = 1; number < 65; number++) {
            if (kill(pids[at], number) == 0 && abs(pids[at]) != getpid()) escaped("signal %d was sent to %d", number, pids[at]);
        }
    }
    held("kill: %s", strerror(errno));
}

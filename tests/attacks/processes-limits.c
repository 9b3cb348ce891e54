// SPDX-License-Identifier: Apache-2.0
// attack: sets limits and priorities of the first process and of one outside, so that they fail (prlimit, setpriority, sched_setaffinity)
// topic: processes
// stops: a user of its own, where that is; no other process has a number
// reprove: held
// ordinary: escaped
// bwrap: escaped
// note: an ordinary user's first process is the build's own user's; its run then fails, and is reported as failed
#include "attack.h"
#include <sched.h>
#include <sys/time.h>

int main(void) {
    int pids[] = {atoi(bait("pid")), atoi(bait("runner")), 1};
    for (int at = 0; at < 3; at++) {
        if (pids[at] == getpid()) continue;
        struct rlimit limit;
        if (prlimit(pids[at], RLIMIT_CORE, NULL, &limit) != 0) continue;
        if (prlimit(pids[at], RLIMIT_CORE, &limit, NULL) == 0) escaped("the limits of process %d can be changed", pids[at]);
    }
    held("prlimit: %s", strerror(errno));
}

// SPDX-License-Identifier: Apache-2.0
// attack: takes a descriptor out of the first process and out of one outside (pidfd_open, pidfd_getfd)
// topic: processes
// stops: the first process can't be looked into; no other has a number; system call filter
// reprove: held
// bwrap: escaped
#include "attack.h"

int main(void) {
    int pids[] = {1, atoi(bait("pid")), atoi(bait("runner"))};
    for (int at = 0; at < 3; at++) {
        if (pids[at] == getpid()) continue;
        int process = syscall(SYS_pidfd_open, pids[at], 0);
        for (int file = 0; process >= 0 && file < 32; file++) {
            int taken = syscall(SYS_pidfd_getfd, process, file, 0);
            if (taken < 0) continue;
            const char *found = secret_of(taken);
            escaped("descriptor %d of process %d was taken: %s", file, pids[at], found ? found : "no secret in it");
        }
    }
    held("pidfd_getfd: %s", strerror(errno));
}

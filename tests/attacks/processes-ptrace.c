// SPDX-License-Identifier: Apache-2.0
// attack: takes hold of the first process, of its parent and of a process outside (ptrace attach and seize)
// topic: processes
// stops: the first process can't be looked into; no other has a number; system call filter
// reprove: held
// bwrap: escaped
#include "attack.h"
#include <sys/ptrace.h>

int main(void) {
    int pids[] = {1, atoi(bait("pid")), atoi(bait("runner"))};
    for (int at = 0; at < 3; at++) {
        if (pids[at] == getpid()) continue;
        if (ptrace(PTRACE_SEIZE, pids[at], NULL, NULL) == 0) escaped("process %d is traced", pids[at]);
        if (ptrace(PTRACE_ATTACH, pids[at], NULL, NULL) == 0) escaped("process %d is traced", pids[at]);
    }
    held("ptrace: %s", strerror(errno));
}

// SPDX-License-Identifier: Apache-2.0
// attack: throws the pages of others out of memory, and compares what they have open (process_madvise, kcmp, move_pages)
// topic: processes
// stops: the first process can't be looked into; no other has a number; system call filter
// reprove: held
// bwrap: escaped
#include "attack.h"
#include <linux/kcmp.h>
#include <sys/uio.h>

int main(void) {
    int pids[] = {1, atoi(bait("pid"))};
    for (int at = 0; at < 2; at++) {
        if (pids[at] == getpid()) continue;
        int process = syscall(SYS_pidfd_open, pids[at], 0);
        struct iovec range = {(void *)0x400000, 4096};
        if (process >= 0 && syscall(SYS_process_madvise, process, &range, 1L, 21 /* PAGEOUT */, 0) >= 0)
            escaped("pages of process %d were thrown out", pids[at]);
        if (syscall(SYS_kcmp, getpid(), pids[at], KCMP_FILE, 1, 1) >= 0) escaped("what process %d has open was compared", pids[at]);
        if (syscall(SYS_move_pages, pids[at], 0L, NULL, NULL, NULL, 0) == 0) escaped("pages of process %d can be moved", pids[at]);
    }
    held("process_madvise, kcmp, move_pages: %s", strerror(errno));
}

// SPDX-License-Identifier: Apache-2.0
// attack: reads and writes the memory of the first process and of one outside (process_vm_readv, process_vm_writev)
// topic: processes
// stops: the first process can't be looked into; no other has a number; system call filter
// reprove: held
// bwrap: escaped
#include "attack.h"
#include <sys/uio.h>

int main(void) {
    int pids[] = {1, atoi(bait("pid")), atoi(bait("runner"))};
    for (int at = 0; at < 3; at++) {
        if (pids[at] == getpid()) continue;
        char bytes[64] = "";
        struct iovec ours = {bytes, sizeof bytes};
        // Any address that is mapped would do; the vsyscall page, the stack's top and this program's own are tried.
        uintptr_t addresses[] = {(uintptr_t)bytes & ~4095UL, (uintptr_t)main, 0x400000, 0x555555554000};
        for (int which = 0; which < 4; which++) {
            struct iovec theirs = {(void *)addresses[which], sizeof bytes};
            ssize_t got = process_vm_readv(pids[at], &ours, 1, &theirs, 1, 0);
            if (got > 0 || (got < 0 && errno == EFAULT)) escaped("the memory of process %d can be read", pids[at]);
            got = process_vm_writev(pids[at], &ours, 1, &theirs, 1, 0);
            if (got > 0 || (got < 0 && errno == EFAULT)) escaped("the memory of process %d can be written", pids[at]);
        }
    }
    held("process_vm_readv: %s", strerror(errno));
}

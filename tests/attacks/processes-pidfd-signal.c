// SPDX-License-Identifier: Apache-2.0
// attack: ends the first process and one outside by pidfd (pidfd_send_signal)
// topic: processes
// stops: the first process is that of its namespace; no other has a number
// reprove: held
// bwrap: held
#include "attack.h"

int main(void) {
    int pids[] = {1, atoi(bait("pid")), atoi(bait("runner"))}, sent = 0;
    for (int at = 0; at < 3; at++) {
        if (pids[at] == getpid()) continue;
        int process = syscall(SYS_pidfd_open, pids[at], 0);
        for (int number = 1; process >= 0 && number < 65; number++) {
            // Those to the first process that end it are not delivered to it by its own.
            int took = syscall(SYS_pidfd_send_signal, process, number, NULL, 0) == 0;
            sent += took;
            if (took && pids[at] != 1) escaped("process %d was sent a signal", pids[at]);
        }
    }
    pause_ms(50);
    if (getppid() != 1 && kill(1, 0) != 0 && errno == ESRCH) escaped("the first process is gone");
    held("%d signals were taken, none by a process outside", sent);
}

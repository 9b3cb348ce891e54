// SPDX-License-Identifier: Apache-2.0
// attack: sends every signal to every process that it can see (kill -1)
// topic: signals
// stops: process namespace of its own
// reprove: held
// bwrap: held
#include "attack.h"

int main(void) {
    pid_t child = fork();
    if (child == 0) {
        setsid();
        for (int number = 1; number < 65; number++) {
            if (number != SIGKILL && number != SIGSTOP && number != SIGCHLD) signal(number, SIG_IGN);
        }
        for (int number = 1; number < 65; number++) {
            // The one that prints is to live on, and so not to get these.
            if (number == SIGCONT || number == 0) kill(-1, number);
        }
        _exit(0);
    }
    waitpid(child, NULL, 0);
    // Of the others, the process outside, its group and its parent are sent all.
    int pids[] = {atoi(bait("pid")), -atoi(bait("pid")), atoi(bait("runner")), -atoi(bait("runner"))};
    for (int at = 0; at < 4; at++) {
        for (int number = 1; number < 65; number++) {
            if (kill(pids[at], number) == 0 && abs(pids[at]) != getpid()) escaped("signal %d was sent to %d", number, pids[at]);
        }
    }
    held("kill: %s", strerror(errno));
}

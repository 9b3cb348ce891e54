// SPDX-License-Identifier: Apache-2.0
// attack: has the kernel signal a process outside for it: owner of a descriptor, of a timer, of a lease (F_SETOWN, F_SETSIG, timer_create)
// topic: signals
// stops: process namespace of its own; Landlock's scope of signals
// reprove: held
// bwrap: held
// note: `escaped` is what is found outside afterwards
#include "attack.h"

int main(void) {
    int ends[2], owned = 0, outsider = atoi(bait("pid"));
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) broken("socketpair");
    int targets[] = {outsider, -outsider, atoi(bait("runner"))};
    for (int at = 0; at < 3; at++) {
        owned += fcntl(ends[0], F_SETOWN, targets[at]) == 0;
        fcntl(ends[0], F_SETSIG, SIGUSR1);
        fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK);
        if (write(ends[1], "!", 1) != 1) break;
        int pid = targets[at];
        ioctl(ends[0], FIOSETOWN, &pid);
        if (write(ends[1], "!", 1) != 1) break;
    }
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
    event._sigev_un._tid = outsider;
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) == 0) escaped("a timer signals a process outside");
    held("%d owners were taken, all of numbers that are not outside's", owned);
}

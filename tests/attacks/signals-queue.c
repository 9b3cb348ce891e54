// SPDX-License-Identifier: Apache-2.0
// attack: queues real-time signals with values for the first process and for one outside (rt_sigqueueinfo, rt_tgsigqueueinfo)
// topic: signals
// stops: process namespace of its own
// reprove: held
// bwrap: held
#include "attack.h"

int main(void) {
    int outsider = atoi(bait("pid"));
    siginfo_t information = {.si_signo = SIGRTMIN, .si_code = SI_QUEUE};
    union sigval value = {.sival_int = 7};
    if (sigqueue(outsider, SIGRTMIN, value) == 0) escaped("a signal was queued outside");
    if (syscall(SYS_rt_sigqueueinfo, outsider, SIGRTMIN, &information) == 0) escaped("a signal was queued outside");
    if (syscall(SYS_rt_tgsigqueueinfo, outsider, outsider, SIGRTMIN, &information) == 0) escaped("a signal was queued outside");
    for (int at = 0; at < 1000; at++) sigqueue(1, SIGRTMIN, value);
    held("sigqueue: %s", strerror(errno));
}

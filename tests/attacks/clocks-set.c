// SPDX-License-Identifier: Apache-2.0
// attack: sets the machine's clock (settimeofday, clock_settime, stime)
// topic: clocks
// stops: no capability outside; system call filter
// reprove: held
// bwrap: held
#include "attack.h"
#include <sys/time.h>

int main(void) {
    // To what it is: who may do that may do more.
    struct timeval now;
    gettimeofday(&now, NULL);
    if (settimeofday(&now, NULL) == 0) escaped("settimeofday is taken");
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    if (clock_settime(CLOCK_REALTIME, &time) == 0) escaped("clock_settime is taken");
    held("the clock: %s", strerror(errno));
}

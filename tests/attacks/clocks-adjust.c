// SPDX-License-Identifier: Apache-2.0
// attack: has the machine's clock run faster or slower (adjtimex, clock_adjtime, adjtime)
// topic: clocks
// stops: no capability outside; system call filter
// reprove: held
// bwrap: held
#include "attack.h"
#include <sys/timex.h>

int main(void) {
    struct timex adjust = {0};
    if (adjtimex(&adjust) < 0) held("adjtimex, which only reads: %s", strerror(errno));
    struct timex same = {.modes = ADJ_FREQUENCY, .freq = adjust.freq};
    if (adjtimex(&same) >= 0) escaped("adjtimex is taken");
    same.modes = ADJ_FREQUENCY;
    if (clock_adjtime(CLOCK_REALTIME, &same) >= 0) escaped("clock_adjtime is taken");
    held("the clock's rate: %s", strerror(errno));
}

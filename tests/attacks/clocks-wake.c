// SPDX-License-Identifier: Apache-2.0
// attack: wakes the machine from sleep, or keeps it awake (alarm timers, /sys/power)
// topic: clocks
// stops: no capability outside; no /sys
// reprove: held
// bwrap: held
#include "attack.h"
#include <sys/timerfd.h>

int main(void) {
    int timer = timerfd_create(CLOCK_BOOTTIME_ALARM, 0);
    if (timer >= 0) escaped("it has a timer that wakes the machine");
    if (write_to("/sys/power/wake_lock", "planted")) escaped("it keeps the machine awake");
    held("timerfd_create: %s", strerror(errno));
}

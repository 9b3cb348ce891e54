// SPDX-License-Identifier: Apache-2.0
// attack: watches the machine's processors and other processes (perf_event_open)
// topic: kernel
// stops: the kernel's own rule, where it has one; system call filter
// reprove: held
// bwrap: escaped
#include "attack.h"
#include <linux/perf_event.h>

int main(void) {
    struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE, .size = sizeof event, .config = PERF_COUNT_SW_CPU_CLOCK};
    if (syscall(SYS_perf_event_open, &event, -1, 0, -1, 0) >= 0) escaped("all of the machine is watched");
    if (syscall(SYS_perf_event_open, &event, 0, -1, -1, 0) >= 0) escaped("the kernel is watched, from the build's own process");
    event.exclude_kernel = event.exclude_hv = 1;
    if (syscall(SYS_perf_event_open, &event, 0, -1, -1, 0) >= 0) escaped("events of its own process are counted");
    held("perf_event_open: %s", strerror(errno));
}

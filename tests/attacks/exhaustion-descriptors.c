// SPDX-License-Identifier: Apache-2.0
// attack: holds open as many descriptors as it can, in one process after another
// topic: exhaustion
// stops: limit of descriptors; control group for memory
// reprove: held
// bwrap: held
// limits: memory-mib=128 processes=32 seconds=20
#include "attack.h"

int main(void) {
    struct rlimit limit = {1 << 20, 1 << 20};
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int opened = 0;
    while (opened < 200000 && dup(1) >= 0) opened++;
    if (opened > 66000) escaped("one process holds %d descriptors", opened);
    held("one process holds %d descriptors: %s", opened, strerror(errno));
}

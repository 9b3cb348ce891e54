// SPDX-License-Identifier: Apache-2.0
// attack: locks memory so that it can't be given back (mlock)
// topic: exhaustion
// stops: limit of locked memory
// reprove: held
// bwrap: held
// limits: memory-mib=256
#include "attack.h"

int main(void) {
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_MEMLOCK, &limit);
    char *memory = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mlock(memory, 64 << 20) == 0) escaped("64 MiB are locked");
    held("mlock: %s", strerror(errno));
}

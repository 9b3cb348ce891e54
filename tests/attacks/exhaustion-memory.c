// SPDX-License-Identifier: Apache-2.0
// attack: takes more memory than it is given
// topic: exhaustion
// stops: control group for memory, or a resource limit and the watchdog
// reprove: held
// bwrap: escaped
// limits: memory-mib=64 seconds=20
// ends: out-of-memory|well
#include "attack.h"

int main(void) {
    for (int at = 0; at < 256; at++) {
        char *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) held("mmap: %s", strerror(errno));
        memset(memory, 1, 1 << 20);
    }
    escaped("it holds 256 MiB");
}

// SPDX-License-Identifier: Apache-2.0
// attack: turns off the kernel's defences for what it starts (personality: no random addresses, readable means executable)
// topic: kernel
// stops: system call filter by value
// reprove: held
// bwrap: escaped
#include "attack.h"
#include <sys/personality.h>

int main(void) {
    static const unsigned long wanted[] = {READ_IMPLIES_EXEC, MMAP_PAGE_ZERO};
    for (int at = 0; at < 2; at++) {
        unsigned long now = personality(0xffffffff);
        if (personality(now | wanted[at]) == (int)-1) continue;
        if ((unsigned long)personality(0xffffffff) & wanted[at]) escaped("the personality %#lx is taken", wanted[at]);
    }
    held("personality: %s", strerror(errno));
}

// SPDX-License-Identifier: Apache-2.0
// attack: makes empty files until the kernel's memory is full of them
// topic: exhaustion
// stops: each place in memory has a number of files
// reprove: held
// bwrap: escaped
// limits: disk-mib=16 seconds=20
#include "attack.h"

int main(void) {
    static const char *const places[] = {".", "/tmp", "/dev/shm"};
    char name[64];
    for (int which = 0; which < 3; which++) {
        int made = 0;
        for (; made < 50000; made++) {
            snprintf(name, sizeof name, "%s/%d", places[which], made);
            if (mknod(name, S_IFREG | 0644, 0) != 0) break;
        }
        if (made == 50000) escaped("%s has 50,000 empty files", places[which]);
    }
    held("no place takes 50,000 files: %s", strerror(errno));
}

// SPDX-License-Identifier: Apache-2.0
// attack: writes more than it is given to every place that it can write
// topic: exhaustion
// stops: each place in memory has a size
// reprove: held
// bwrap: escaped
// limits: disk-mib=16
#include "attack.h"

int main(void) {
    static char block[1 << 20];
    static const char *const files[] = {"file", "/tmp/file", "/dev/shm/file", "../home/file", "/file", "/dev/file", "/inputs/file"};
    memset(block, 1, sizeof block);
    for (int which = 0; which < 7; which++) {
        int file = open(files[which], O_CREAT | O_WRONLY, 0644), written = 0;
        while (file >= 0 && written < 40 && write(file, block, sizeof block) == sizeof block) written++;
        if (written > 16) escaped("%s holds %d MiB", files[which], written);
        if (fallocate(file, 0, 0, 40 << 20) == 0) escaped("%s holds 40 MiB, by fallocate", files[which]);
        close(file);
        unlink(files[which]);
    }
    held("no place takes more than 16 MiB: %s", strerror(errno));
}

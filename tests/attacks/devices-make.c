// SPDX-License-Identifier: Apache-2.0
// attack: makes device nodes, of a disk and of memory, and opens them (mknod)
// topic: devices
// stops: no capability outside; mounts without devices
// reprove: held
// bwrap: held
#include "attack.h"
#include <sys/sysmacros.h>

int main(void) {
    static const struct { int mode, major, minor; } nodes[] = {{S_IFCHR, 1, 1}, {S_IFCHR, 1, 2}, {S_IFBLK, 8, 0}, {S_IFBLK, 253, 0},
        {S_IFBLK, 254, 0}, {S_IFCHR, 10, 229}, {S_IFCHR, 5, 0}, {S_IFCHR, 10, 200}, {S_IFCHR, 1, 11}, {S_IFBLK, 7, 0}};
    static const char *const places[] = {"/tmp", "/dev", "/dev/shm", "."};
    int made = 0;
    for (unsigned at = 0; at < 10; at++) {
        for (int place = 0; place < 4; place++) {
            char path[64];
            snprintf(path, sizeof path, "%s/node%u", places[place], at);
            if (mknod(path, nodes[at].mode | 0600, makedev(nodes[at].major, nodes[at].minor)) != 0) continue;
            made++;
            if (open(path, O_RDONLY | O_NONBLOCK) >= 0) escaped("the device %d:%d was made and opened", nodes[at].major, nodes[at].minor);
            unlink(path);
        }
    }
    held("%d nodes were made, none opens: %s", made, strerror(errno));
}

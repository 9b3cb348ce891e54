// SPDX-License-Identifier: Apache-2.0
// attack: takes away what hides something: /usr/local, /proc, /dev, the root itself (umount, lazily and by force)
// topic: mounts
// stops: no capability; system call filter
// reprove: held
// bwrap: escaped
// bwrap-ordinary: held
#include "attack.h"
#include <sys/mount.h>

int main(void) {
    static const char *const places[] = {"/usr/local", "/proc/keys", "/proc/kcore", "/proc", "/dev", "/usr", "/inputs/bait", "/"};
    for (int at = 0; at < 8; at++) {
        if (umount2(places[at], MNT_DETACH) == 0) escaped("%s is gone", places[at]);
        if (umount2(places[at], MNT_FORCE) == 0) escaped("%s is gone", places[at]);
    }
    held("umount: %s", strerror(errno));
}

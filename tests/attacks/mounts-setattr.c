// SPDX-License-Identifier: Apache-2.0
// attack: clears read-only of /usr and all below with mount_setattr
// topic: mounts
// stops: read-only mounts from outside are locked; no capability; system call filter
// reprove: held
// bwrap: escaped
// bwrap-ordinary: held
#include "attack.h"
#include <linux/mount.h>

int main(void) {
    struct mount_attr attributes = {.attr_clr = MOUNT_ATTR_RDONLY};
    static const char *const places[] = {"/usr", "/inputs/bait", "/"};
    for (int at = 0; at < 3; at++) {
        if (syscall(SYS_mount_setattr, AT_FDCWD, places[at], 0, &attributes, sizeof attributes) == 0 && access(places[at], W_OK) == 0)
            escaped("%s can be written", places[at]);
        syscall(SYS_mount_setattr, AT_FDCWD, places[at], AT_RECURSIVE, &attributes, sizeof attributes);
    }
    if (access("/usr", W_OK) == 0) escaped("/usr can be written");
    held("mount_setattr: %s", strerror(errno));
}

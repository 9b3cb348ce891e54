// SPDX-License-Identifier: Apache-2.0
// attack: makes file systems of every kind with fsopen, fsconfig and fsmount
// topic: mounts
// stops: no capability; system call filter
// reprove: held
// bwrap: escaped
// bwrap-ordinary: held
#include "attack.h"
#include <linux/mount.h>

int main(void) {
    static const char *const kinds[] = {"tmpfs", "proc", "sysfs", "cgroup2", "devpts", "overlay", "mqueue", "fuse", "ext4", "bpf"};
    for (int at = 0; at < 10; at++) {
        int context = syscall(SYS_fsopen, kinds[at], 0);
        if (context < 0 || syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0) continue;
        int made = syscall(SYS_fsmount, context, 0, 0);
        if (made >= 0) escaped("a file system of the kind %s is mounted", kinds[at]);
    }
    if (syscall(SYS_fspick, AT_FDCWD, "/", 0) >= 0) escaped("fspick has the root");
    held("fsopen: %s", strerror(errno));
}

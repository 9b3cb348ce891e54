// SPDX-License-Identifier: Apache-2.0
// attack: copies a tree of mounts, and attaches it where it covers another (open_tree, move_mount)
// topic: mounts
// stops: no capability; system call filter
// reprove: held
// bwrap: escaped
// bwrap-ordinary: held
#include "attack.h"
#include <linux/mount.h>

int main(void) {
    int tree = syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE | AT_RECURSIVE);
    if (tree >= 0) escaped("it has a copy of the tree of mounts");
    int kept = errno, plain = syscall(SYS_open_tree, AT_FDCWD, "/tmp", 0);
    if (plain >= 0 && syscall(SYS_move_mount, plain, "", AT_FDCWD, "/usr", MOVE_MOUNT_F_EMPTY_PATH) == 0) escaped("/tmp is on /usr");
    held("open_tree: %s", strerror(kept));
}

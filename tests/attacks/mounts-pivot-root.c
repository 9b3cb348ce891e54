// SPDX-License-Identifier: Apache-2.0
// attack: changes the root, and looks for the old one (pivot_root)
// topic: mounts
// stops: no capability; system call filter
// reprove: held
// bwrap: escaped
// bwrap-ordinary: held
#include "attack.h"
#include <sys/mount.h>

int main(void) {
    mkdir("/tmp/new", 0755);
    mkdir("/tmp/new/old", 0755);
    mount("/tmp/new", "/tmp/new", NULL, MS_BIND, NULL);
    if (syscall(SYS_pivot_root, "/tmp/new", "/tmp/new/old") == 0) escaped("the root is another");
    if (syscall(SYS_pivot_root, "/", "/") == 0) escaped("the root is another");
    held("pivot_root: %s", strerror(errno));
}

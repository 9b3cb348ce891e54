// SPDX-License-Identifier: Apache-2.0
// attack: becomes root of a new user namespace, and mounts a /proc and a writable file system there
// topic: namespaces
// stops: no new user namespace
// reprove: held
// bwrap: escaped
#include "attack.h"
#include <sched.h>
#include <sys/mount.h>

int main(void) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) held("unshare: %s", strerror(errno));
    if (mount("tmpfs", "/tmp", "tmpfs", 0, NULL) == 0) escaped("it mounts what it likes in a user namespace of its own");
    escaped("it has all capabilities in a user namespace of its own");
}

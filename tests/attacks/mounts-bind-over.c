// SPDX-License-Identifier: Apache-2.0
// attack: puts its own program in the place of one of /usr, and its own file in the place of an input (bind mounts)
// topic: mounts
// stops: no capability; system call filter
// reprove: held
// bwrap: escaped
// bwrap-ordinary: held
#include "attack.h"
#include <sys/mount.h>

int main(void) {
    if (mount("attack", "/usr/bin/true", NULL, MS_BIND, NULL) == 0) escaped("/usr/bin/true is another program");
    if (mount("attack", "/inputs/bait", NULL, MS_BIND, NULL) == 0) escaped("an input is another file");
    if (mount("tmpfs", "/usr", "tmpfs", 0, NULL) == 0) escaped("/usr is another");
    if (mount("proc", "/tmp", "proc", 0, NULL) == 0) escaped("a second /proc is mounted");
    if (mount("sysfs", "/tmp", "sysfs", 0, NULL) == 0) escaped("/sys is mounted");
    held("mount: %s", strerror(errno));
}

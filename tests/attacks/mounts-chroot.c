// SPDX-License-Identifier: Apache-2.0
// attack: breaks out of the root by the classic way: chroot below, then a hundred times `..`
// topic: mounts
// stops: the root is that of the mount namespace, nothing is above it; no capability
// reprove: held
// bwrap: held
#include "attack.h"

int main(void) {
    int here = open("/", O_RDONLY | O_DIRECTORY);
    mkdir("/tmp/below", 0755);
    int changed = chroot("/tmp/below");
    int kept = errno;
    if (fchdir(here) != 0) broken("fchdir");
    for (int at = 0; at < 100 && chdir("..") == 0; at++) {}
    if (changed == 0 && chroot(".") != 0) broken("chroot");
    const char *found = secret_at(bait("canary"));
    if (found) escaped("the machine's root: %s", found);
    if (access("/etc/shadow", F_OK) == 0) escaped("/etc/shadow is there");
    held("chroot: %s", changed == 0 ? "it leads nowhere" : strerror(kept));
}

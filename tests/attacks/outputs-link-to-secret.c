// SPDX-License-Identifier: Apache-2.0
// attack: has an output that is a link to /etc/shadow, and links to the canary by every kind of path
// topic: outputs
// stops: outputs are taken without following a link
// reprove: held
// bwrap: n/a
#include "attack.h"

int main(void) {
    symlink("/etc/shadow", "out/shadow");
    symlink(bait("canary"), "out/canary");
    char up[512] = "../../../../../..";
    symlink(strcat(up, bait("canary")), "out/up");
    symlink("/proc/self/root/etc/shadow", "out/proc");
    mkdir("out/folder", 0755);
    symlink("/etc", "out/folder/etc");
    symlink(bait("folder"), "out/folder/outside");
    symlink("self", "out/self");
    held("links are planted");
}

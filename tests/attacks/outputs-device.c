// SPDX-License-Identifier: Apache-2.0
// attack: has an output that is a device, which has no end (a node, or /dev/zero by another way)
// topic: outputs
// stops: no nodes can be made; links between file systems are not
// reprove: held
// bwrap: n/a
#include "attack.h"

int main(void) {
    int made = mknod("out/zero", S_IFCHR | 0644, (1 << 8) | 5);
    int linked = link("/dev/zero", "out/linked");
    if (rename("/dev/zero", "out/renamed") == 0) escaped("a device was moved");
    if (made == 0 || linked == 0) escaped("a device is an output");
    held("no device is planted: %s", strerror(errno));
}

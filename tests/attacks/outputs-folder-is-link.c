// SPDX-License-Identifier: Apache-2.0
// attack: has the folder of its outputs be a link to the machine's /etc
// topic: outputs
// stops: a named output that is a link is refused
// reprove: held
// bwrap: n/a
// ends: refused
#include "attack.h"

int main(void) {
    if (rmdir("out") != 0 || symlink("/etc", "out") != 0) broken("out");
    held("out is a link");
}

// SPDX-License-Identifier: Apache-2.0
// attack: has outputs in folders 4,000 deep, to exhaust whoever goes down
// topic: outputs
// stops: bounds on the depth of outputs
// reprove: held
// bwrap: n/a
// ends: refused
#include "attack.h"

int main(void) {
    if (chdir("out") != 0) broken("out");
    int depth = 0;
    while (depth < 4000 && mkdir("d", 0755) == 0 && chdir("d") == 0) depth++;
    if (depth < 1000) broken("the folders");
    held("folders are planted, %d deep", depth);
}

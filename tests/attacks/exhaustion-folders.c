// SPDX-License-Identifier: Apache-2.0
// attack: nests folders until no path leads back, for whoever takes the build directory away
// topic: exhaustion
// stops: the build's places are file systems of their own, which go as a whole
// reprove: held
// bwrap: held
// limits: disk-mib=64
#include "attack.h"

int main(void) {
    int depth = 0;
    while (depth < 4000 && mkdir("d", 0755) == 0 && chdir("d") == 0) depth++;
    if (depth < 1000) broken("the folders");
    held("folders are nested %d deep", depth);
}

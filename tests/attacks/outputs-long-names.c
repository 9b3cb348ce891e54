// SPDX-License-Identifier: Apache-2.0
// attack: has an output whose path is longer than any path may be
// topic: outputs
// stops: bounds on the depth of outputs; every folder is opened by its own descriptor
// reprove: held
// bwrap: n/a
// ends: refused
#include "attack.h"

int main(void) {
    char name[201];
    memset(name, 'n', 200);
    name[200] = 0;
    if (chdir("out") != 0) broken("out");
    for (int depth = 0; depth < 300; depth++) {
        if (mkdir(name, 0755) != 0 || chdir(name) != 0) broken("mkdir");
    }
    close(open("file", O_CREAT | O_WRONLY, 0644));
    held("300 folders of 200 letters each are planted");
}

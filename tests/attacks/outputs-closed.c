// SPDX-License-Identifier: Apache-2.0
// attack: has outputs that their own user can't read, in folders that can't be entered
// topic: outputs
// stops: outputs are opened by one who may, or refused
// reprove: held
// bwrap: n/a
// ends: well|refused
#include "attack.h"

int main(void) {
    mkdir("out/closed", 0755);
    close(open("out/closed/file", O_CREAT | O_WRONLY, 0));
    chmod("out/closed", 0);
    held("closed folders are planted");
}

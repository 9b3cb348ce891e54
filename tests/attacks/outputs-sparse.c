// SPDX-License-Identifier: Apache-2.0
// attack: has an output of 1 TiB that takes no room where it is made
// topic: outputs
// stops: a bound on the bytes of outputs
// reprove: held
// bwrap: n/a
// ends: refused
#include "attack.h"

int main(void) {
    int file = open("out/sparse", O_CREAT | O_WRONLY, 0644);
    if (file < 0 || ftruncate(file, 1L << 40) != 0) broken("the file");
    held("a file of 1 TiB is planted");
}

// SPDX-License-Identifier: Apache-2.0
// attack: has an output that is a FIFO, whose reader would wait for ever
// topic: outputs
// stops: outputs that are no files, folders or links are refused
// reprove: held
// bwrap: n/a
// ends: refused
#include "attack.h"

int main(void) {
    if (mkfifo("out/fifo", 0644) != 0) broken("mkfifo");
    held("a FIFO is planted");
}

// SPDX-License-Identifier: Apache-2.0
// attack: has a source archive with a FIFO in it, whose reader would wait for ever
// topic: archives
// stops: what is no file, folder or link is refused
// reprove: held
// bwrap: n/a
// through: archive
// ends: refused
#include "archive.h"

int main(void) {
    begin(PLANT);
    entry("top/fifo", '6', "", 0666, "");
    end();
}

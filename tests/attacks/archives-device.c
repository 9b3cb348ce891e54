// SPDX-License-Identifier: Apache-2.0
// attack: has a source archive with a device in it
// topic: archives
// stops: what is no file, folder or link is refused
// reprove: held
// bwrap: n/a
// through: archive
// ends: refused
#include "archive.h"

int main(void) {
    begin(PLANT);
    entry("top/zero", '3', "", 0666, "");
    end();
}

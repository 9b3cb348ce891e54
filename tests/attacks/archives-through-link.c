// SPDX-License-Identifier: Apache-2.0
// attack: has a source archive with a link to a folder outside, then a file below that link
// topic: archives
// stops: an archive's own tree has no file below a link
// reprove: held
// bwrap: n/a
// through: archive
// ends: refused
#include "archive.h"

int main(int count, char **arguments) {
    if (count < 2) return 9;
    begin(PLANT);
    entry("top/link", '2', arguments[1], 0777, "");
    entry("top/link/planted", '0', "", 0644, "planted");
    end();
}

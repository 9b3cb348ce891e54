// SPDX-License-Identifier: Apache-2.0
// attack: has a source archive with the same name twice: first a folder, then a link to a folder outside in its place
// topic: archives
// stops: a name is one thing
// reprove: held
// bwrap: n/a
// through: archive
// ends: refused
#include "archive.h"

int main(int count, char **arguments) {
    if (count < 2) return 9;
    begin(PLANT);
    entry("top/folder/", '5', "", 0755, "");
    entry("top/folder/file", '0', "", 0644, "first");
    entry("top/folder", '2', arguments[1], 0777, "");
    entry("top/folder/planted", '0', "", 0644, "planted");
    end();
}

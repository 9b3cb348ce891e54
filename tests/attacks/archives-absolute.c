// SPDX-License-Identifier: Apache-2.0
// attack: has a source archive with an absolute name in it, that of a file outside
// topic: archives
// stops: names that lead out are refused
// reprove: held
// bwrap: n/a
// through: archive
// ends: refused
#include "archive.h"

int main(int count, char **arguments) {
    if (count < 2) return 9;
    begin(PLANT);
    entry(outside(arguments, "", "planted"), '0', "", 0644, "planted");
    end();
}

// SPDX-License-Identifier: Apache-2.0
// attack: has a source archive with a hard link to the canary
// topic: archives
// stops: a hard link is to a file before it in the archive
// reprove: held
// bwrap: n/a
// through: archive
// ends: refused
#include "archive.h"

int main(int count, char **arguments) {
    if (count < 2) return 9;
    begin("#!/bin/sh\ncat link\n");
    entry("top/link", '1', outside(arguments, "", "canary"), 0644, "");
    end();
}

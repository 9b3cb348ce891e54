// SPDX-License-Identifier: Apache-2.0
// attack: has a source archive with links to the canary and to /etc/shadow, which the build reads through
// topic: archives
// stops: links are kept as links, and lead nowhere inside
// reprove: held
// bwrap: n/a
// through: archive
#include "archive.h"

int main(int count, char **arguments) {
    if (count < 2) return 9;
    begin("#!/bin/sh\ncat canary up shadow > out/read 2> /dev/null\n"
          "if grep -q -e bait: -e root: out/read; then echo 'escaped: a link leads out'; else echo 'held: no link leads out'; fi\n");
    entry("top/canary", '2', outside(arguments, "", "canary"), 0777, "");
    entry("top/up", '2', outside(arguments, "../../../../../../../..", "canary"), 0777, "");
    entry("top/shadow", '2', "/etc/shadow", 0777, "");
    end();
}

// SPDX-License-Identifier: Apache-2.0
// attack: has a source archive with a set-user-ID program of root's
// topic: archives
// stops: no more than a file's ordinary permissions are taken over
// reprove: held
// bwrap: n/a
// through: archive
#include "archive.h"

int main(void) {
    begin("#!/bin/sh\nmode=$(stat -c %a program)\ncase $mode in\n?755 | ????*) echo \"escaped: its mode is $mode\" ;;\n"
          "*) echo \"held: its mode is $mode\" ;;\nesac\n");
    entry("top/program", '0', "", 06755, "#!/bin/sh\n");
    end();
}

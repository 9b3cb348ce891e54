// SPDX-License-Identifier: Apache-2.0
// attack: has a million output files
// topic: outputs
// stops: a bound on files; the file system's own number of them
// reprove: held
// bwrap: n/a
// ends: refused
// limits: disk-mib=64
#include "attack.h"

int main(void) {
    int made = 0;
    char name[64];
    for (int at = 0; at < 1000000; at++) {
        snprintf(name, sizeof name, "out/%d", at);
        int file = open(name, O_CREAT | O_WRONLY, 0644);
        if (file < 0) break;
        close(file);
        made++;
    }
    if (made < 11000) broken("the files");
    held("%d files are planted", made);
}

// SPDX-License-Identifier: Apache-2.0
// attack: prints without end
// topic: log
// stops: the log is cut at its limit and what is past it dropped
// reprove: held
// bwrap: escaped
// ends: well|cut
// limits: log-mib=1 seconds=20
#include "attack.h"

int main(void) {
    static char line[1 << 16];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\n';
    for (int at = 0; at < 64 * 16; at++) {
        if (write(1, line, sizeof line) < 0) held("the log takes no more: %s", strerror(errno));
    }
    struct stat log;
    // A file that holds all of it is the log itself, without a limit.
    if (fstat(1, &log) == 0 && S_ISREG(log.st_mode) && log.st_size > 32 << 20) escaped("all 64 MiB are in the log");
    pause_ms(100);
    held("64 MiB were printed");
}

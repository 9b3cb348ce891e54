// SPDX-License-Identifier: Apache-2.0
// attack: prints what acts on a terminal that shows the log: clears it, sets its title, asks it to answer
// topic: log
// stops: the log is kept as bytes; what is shown has no control characters
// reprove: held
// bwrap: n/a
// note: that what `reprove` itself shows is plain is held by `nothing_that_a_build_prints_acts_on_the_terminal`
#include "attack.h"

int main(void) {
    printf("\033[2J\033]0;title\007\033[6n\033P$qm\033\\\033]52;c;cGxhbnRlZA==\007\r\b\x9b\x32J\n");
    fflush(stdout);
    held("escapes are in the log");
}

// SPDX-License-Identifier: Apache-2.0
// attack: swaps a folder for a link, over and over, from a process that outlives the build, while the outputs are taken
// topic: outputs
// stops: everything is ended before outputs are taken; no link is followed
// reprove: held
// bwrap: n/a
#include "attack.h"
#include <sys/syscall.h>

int main(void) {
    mkdir("out/folder", 0755);
    symlink(bait("folder"), "link");
    close(open("out/folder/canary", O_CREAT | O_WRONLY, 0644));
    for (int at = 0; at < 4; at++) {
        if (fork() != 0) continue;
        setsid();
        for (;;) syscall(SYS_renameat2, AT_FDCWD, "link", AT_FDCWD, "out/folder", 2 /* EXCHANGE */);
    }
    pause_ms(50);
    if (rename("out/folder", "link2") != 0) broken("rename");
    symlink("link2", "unused");
    held("it goes on swapping");
}

// SPDX-License-Identifier: Apache-2.0
// attack: finds processes of the machine by their numbers, and by a /proc that it mounts or finds elsewhere
// topic: proc
// stops: process namespace of its own
// reprove: held
// bwrap: held
#include "attack.h"

int main(void) {
    int seen = 0;
    for (int pid = 1; pid < 100000; pid++) {
        char path[64], text[4096] = "";
        snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
        int file = open(path, O_RDONLY);
        if (file < 0) continue;
        seen++;
        if (read(file, text, sizeof text - 1) > 0 && strcmp(text, "victim") == 0) escaped("process %d outside is seen", pid);
        close(file);
    }
    if (kill(atoi(bait("runner")), 0) == 0 && getpid() != atoi(bait("runner"))) escaped("the runner has a number here");
    held("%d processes are seen, none of them outside", seen);
}

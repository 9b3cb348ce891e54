// SPDX-License-Identifier: Apache-2.0
// attack: sends a word to the next build by the access times of files that both only read
// topic: channels
// stops: the store and /usr are mounted so that access times stay
// reprove: held
// bwrap: held
// builds: after
#include "attack.h"

int main(int count, char **arguments) {
    // A file of /usr that has long not been read, and that is read here alone.
    static const char *const files[] = {"/inputs/bait", "/usr/share/common-licenses/Artistic", "/usr/share/common-licenses/BSD"};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int sends = count > 1 && strcmp(arguments[1], "send") == 0;
    if (sends) pause_ms(20);
    for (int at = 0; at < 3; at++) {
        struct stat before, after;
        char byte;
        int file = open(files[at], O_RDONLY);
        if (file < 0 || fstat(file, &before) != 0 || read(file, &byte, 1) != 1 || fstat(file, &after) != 0) continue;
        if (before.st_atim.tv_sec != after.st_atim.tv_sec || before.st_atim.tv_nsec != after.st_atim.tv_nsec) {
            printf("sent: %s has another access time\n", files[at]);
            if (!sends) escaped("received %s has another access time", files[at]);
        }
        close(file);
    }
    held("reading leaves no time");
}

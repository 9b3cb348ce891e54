// SPDX-License-Identifier: Apache-2.0
// attack: leaves a word in every place that can be written, for the next build
// topic: channels
// stops: every place that can be written is each build's own
// reprove: held
// bwrap: held
// builds: after
#include "attack.h"

int main(int count, char **arguments) {
    static const char *const files[] = {"/tmp/word", "/dev/shm/word", "../home/word", "/var/tmp/word", "/run/word", "/usr/local/word",
        "/etc/word", "/inputs/word", "/word", "/dev/word", "/usr/tmp/word"};
    int sends = count > 1 && strcmp(arguments[1], "send") == 0;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (sends) printf("sent: %ld\n", now.tv_nsec);
    for (int at = 0; at < 11; at++) {
        char text[64] = "";
        int file = open(files[at], sends ? O_CREAT | O_WRONLY : O_RDONLY, 0666);
        if (sends && file >= 0) dprintf(file, "%ld", now.tv_nsec);
        if (!sends && file >= 0 && read(file, text, sizeof text - 1) > 0) escaped("received %s", text);
        close(file);
    }
    held("%s", sends ? "the word is left" : "no place has the word");
}

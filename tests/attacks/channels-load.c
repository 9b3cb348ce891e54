// SPDX-License-Identifier: Apache-2.0
// attack: reads what other processes of the machine do, by its load, its uptime and its memory
// topic: channels
// stops: masked in /proc
// reprove: held
// bwrap: escaped
// note: the files alone; that work takes longer while others work can't be hidden
#include "attack.h"

int main(void) {
    static const char *const files[] = {"/proc/loadavg", "/proc/uptime", "/proc/stat"};
    for (int at = 0; at < 3; at++) {
        char text[64] = "";
        int file = open(files[at], O_RDONLY);
        if (file < 0 || read(file, text, sizeof text - 1) <= 0) continue;
        // The same in every build: no load, and clocks that begin with the build.
        if (at == 0 && strcmp(text, "0.00 0.00 0.00 1/1 1\n") == 0) continue;
        if (at == 1 && strtol(text, NULL, 10) >= 100000 && strtol(text, NULL, 10) < 100300) continue;
        if (at == 2 && strncmp(text, "cpu  0 0 0 0 0 0 0 0 0 0\n", 25) == 0) continue;
        text[strcspn(text, "\n")] = 0;
        escaped("%s says %.32s", files[at], text);
    }
    held("what can be read is the same for all");
}

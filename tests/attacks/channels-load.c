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
        if (file >= 0 && read(file, text, sizeof text - 1) > 0) escaped("%s can be read", files[at]);
    }
    held("none can be read: %s", strerror(errno));
}

// SPDX-License-Identifier: Apache-2.0
// attack: learns where on the machine its parts come from, by /proc/self/mountinfo (a leak of names, not of content)
// topic: mounts
// stops: masked in /proc
// reprove: held
// bwrap: escaped
#include "attack.h"

int main(void) {
    static char text[1 << 16];
    int file = open("/proc/self/mountinfo", O_RDONLY);
    ssize_t got = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (got >= 0) text[got] = 0;
    if (got > 0 && strstr(text, bait("folder"))) escaped("mountinfo names the folder of the store");
    held("mountinfo names nothing of the caller's: %s", got < 0 ? strerror(errno) : "it can be read");
}

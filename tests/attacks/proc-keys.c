// SPDX-License-Identifier: Apache-2.0
// attack: finds the caller's keys by their names in /proc/keys and /proc/key-users
// topic: proc
// stops: masked in /proc
// reprove: held
// bwrap: escaped
#include "attack.h"

int main(void) {
    static char text[1 << 20];
    static const char *const files[] = {"/proc/keys", "/proc/key-users"};
    for (int at = 0; at < 2; at++) {
        int file = open(files[at], O_RDONLY);
        ssize_t got = file < 0 ? -1 : read(file, text, sizeof text - 1);
        if (got < 0) continue;
        text[got] = 0;
        if (strstr(text, bait("key")) || strstr(text, bait("user_key"))) escaped("%s names the caller's keys", files[at]);
    }
    held("no key of the caller's is named");
}

// SPDX-License-Identifier: Apache-2.0
// attack: takes a number that tells this machine, or this start of it, from others, as a word that all builds share
// topic: channels
// stops: masked in /proc; none is passed on
// reprove: held
// bwrap: escaped
#include "attack.h"

int main(int count, char **arguments) {
    static const char *const files[] = {"/proc/sys/kernel/random/boot_id", "/etc/machine-id", "/sys/class/dmi/id/product_uuid"};
    (void)count, (void)arguments;
    for (int at = 0; at < 3; at++) {
        char text[64] = "";
        int file = open(files[at], O_RDONLY);
        if (file >= 0 && read(file, text, sizeof text - 1) > 8 && strncmp(text, "00000000-0000-4000-8000-000000000000", 36) != 0) escaped("%s is %.36s", files[at], text);
    }
    held("no number: %s", strerror(errno));
}

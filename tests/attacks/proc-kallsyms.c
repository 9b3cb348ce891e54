// SPDX-License-Identifier: Apache-2.0
// attack: reads addresses of the kernel, with which an exploit begins: kallsyms, modules, and the like
// topic: proc
// stops: the kernel's own rule (kptr_restrict, or the caller's capabilities); masked in /proc
// reprove: held
// bwrap: held
#include "attack.h"

int main(void) {
    static const char *const files[] = {"/proc/kallsyms", "/proc/modules", "/proc/timer_list", "/proc/vmallocinfo"};
    for (int at = 0; at < 4; at++) {
        char line[512];
        FILE *file = fopen(files[at], "r");
        while (file && fgets(line, sizeof line, file)) {
            char *found = strstr(line, "ffffffff");
            if (found && strncmp(found, "ffffffffffffffff", 16) != 0 && strspn(found, "0123456789abcdef") >= 16)
                escaped("%s tells the address %.16s", files[at], found);
        }
        if (file) fclose(file);
    }
    held("no address is told");
}

// SPDX-License-Identifier: Apache-2.0
// attack: makes itself root by writing the maps of users and groups of its own namespace, and setgroups
// topic: proc
// stops: the maps are written once; /proc read-only
// reprove: held
// bwrap: held
#include "attack.h"

int main(void) {
    int before = getuid();
    static const char *const files[] = {"/proc/self/uid_map", "/proc/self/gid_map", "/proc/1/uid_map", "/proc/1/gid_map"};
    for (int at = 0; at < 4; at++) {
        if (write_to(files[at], "0 0 4294967295\n") || write_to(files[at], "0 0 1\n")) escaped("%s was written", files[at]);
    }
    if (write_to("/proc/self/setgroups", "allow")) held("setgroups was written, which is of no use after the maps");
    if (before != 0 && setuid(0) == 0) escaped("it is root now");
    held("the maps: %s", strerror(errno));
}

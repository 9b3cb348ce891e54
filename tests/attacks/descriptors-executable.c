// SPDX-License-Identifier: Apache-2.0
// attack: writes to the program of the first process, through /proc/1/exe (CVE-2019-5736)
// topic: descriptors
// stops: the first process can't be looked into; /proc
// reprove: held
// bwrap: held
#include "attack.h"

int main(void) {
    int exe = open("/proc/1/exe", O_RDWR), by_path = open("/proc/1/exe", O_RDONLY | O_PATH);
    char path[64];
    if (exe >= 0) escaped("/proc/1/exe is open for writing");
    snprintf(path, sizeof path, "/proc/self/fd/%d", by_path);
    int again = by_path < 0 ? -1 : open(path, O_WRONLY | O_TRUNC);
    if (again >= 0) escaped("/proc/1/exe is open for writing, by way of a path descriptor");
    held("/proc/1/exe: %s", strerror(errno));
}

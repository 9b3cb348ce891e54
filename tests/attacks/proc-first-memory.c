// SPDX-License-Identifier: Apache-2.0
// attack: reads and writes the memory of the first process and of others: /proc/PID/mem, environ, auxv, maps
// topic: proc
// stops: the first process can't be looked into; no other is seen
// reprove: held
// bwrap: escaped
#include "attack.h"

static int is_inside(int pid) {
    char path[64], text[4096] = "";
    snprintf(path, sizeof path, "/proc/%d/environ", pid);
    int file = open(path, O_RDONLY);
    if (file < 0 || read(file, text, sizeof text - 1) < 0) return 0;
    return secret_in(text, sizeof text) == NULL;
}

int main(void) {
    int outsider = atoi(bait("pid")), pids[] = {1, outsider, getppid()};
    for (int at = 0; at < 3; at++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/environ", pids[at]);
        const char *found = secret_at(path);
        if (found) escaped("%s: %s", path, found);
        if (pids[at] != 1 || getppid() == 1) {
            snprintf(path, sizeof path, "/proc/%d/mem", pids[at]);
            if (open(path, O_RDWR) >= 0 && !is_inside(pids[at])) escaped("%s can be opened", path);
        }
    }
    if (open("/proc/1/mem", O_RDWR) >= 0) escaped("the memory of the first process, which is not the build's, is open for writing");
    held("/proc/1/mem: %s", strerror(errno));
}

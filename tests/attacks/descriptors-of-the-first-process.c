// SPDX-License-Identifier: Apache-2.0
// attack: takes descriptors of the first process, of its parent and of all others by /proc/PID/fd
// topic: descriptors
// stops: the first process can't be looked into; no other is seen
// reprove: held
// bwrap: held
#include "attack.h"
#include <dirent.h>

int main(void) {
    int opened = 0;
    for (int pid = 1; pid < 300; pid++) {
        if (pid == getpid()) continue;
        for (int file = 0; file < 64; file++) {
            char path[64], target[256] = "";
            snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, file);
            if (readlink(path, target, sizeof target - 1) > 0 && !strstr(target, "pipe:") && strcmp(target, "/dev/null"))
                opened++;
            const char *found = file > 2 ? secret_at(path) : NULL;
            if (found) escaped("%s: %s", path, found);
        }
    }
    if (opened) held("%d descriptors of others are seen, all of the sandbox's own", opened);
    held("no descriptor of another process can be opened");
}

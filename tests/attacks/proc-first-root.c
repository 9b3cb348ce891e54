// SPDX-License-Identifier: Apache-2.0
// attack: walks out through the root, the working directory and the map of files of the first process
// topic: proc
// stops: the first process can't be looked into
// reprove: held
// bwrap: held
#include "attack.h"
#include <dirent.h>

int main(void) {
    static const char *const ways[] = {"root", "cwd", "root/..", "cwd/../../.."};
    for (int pid = 1; pid < 64; pid++) {
        for (int at = 0; at < 4; at++) {
            char path[512];
            snprintf(path, sizeof path, "/proc/%d/%s%s", pid, ways[at], bait("canary"));
            const char *found = secret_at(path);
            if (found) escaped("%s: %s", path, found);
            snprintf(path, sizeof path, "/proc/%d/%s/etc/shadow", pid, ways[at]);
            if (access(path, F_OK) == 0) escaped("%s is there", path);
        }
    }
    held("no process leads to the machine's files");
}

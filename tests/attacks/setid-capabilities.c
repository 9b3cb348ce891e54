// SPDX-License-Identifier: Apache-2.0
// attack: gives a program of its own file capabilities (setxattr security.capability), and looks for some in /usr
// topic: set-id
// stops: no capability outside; no new privileges
// reprove: held
// bwrap: escaped
// bwrap-ordinary: held
#include "attack.h"
#include <linux/capability.h>
#include <sys/xattr.h>

int main(int count, char **arguments) {
    if (count > 1 && strcmp(arguments[1], "check") == 0) {
        char line[256];
        FILE *file = fopen("/proc/self/status", "r");
        unsigned long long all = 0;
        while (file && fgets(line, sizeof line, file)) sscanf(line, "CapEff: %llx", &all);
        return all != 0;
    }
    struct vfs_cap_data data = {.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE, .data = {{~0U, 0}, {0xff, 0}}};
    int set = setxattr("attack", "security.capability", &data, sizeof data, 0);
    int status = system("./attack check");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 1) escaped("it runs with capabilities");
    held("a program of its own has none: %s", set == 0 ? "they were set, and are not given" : strerror(errno));
}

// SPDX-License-Identifier: Apache-2.0
// attack: makes /usr writable again (remount, also as a bind), and writes there
// topic: mounts
// stops: read-only mounts from outside are locked; no capability; system call filter
// reprove: held
// bwrap: escaped
// bwrap-ordinary: held
#include "attack.h"
#include <sys/mount.h>

int main(void) {
    static const char *const places[] = {"/usr", "/", "/inputs/bait", "/usr/bin", "/proc", "/proc/sys"};
    for (int at = 0; at < 6; at++) {
        mount(NULL, places[at], NULL, MS_REMOUNT | MS_BIND, NULL);
        mount(NULL, places[at], NULL, MS_REMOUNT, NULL);
        mount(NULL, places[at], NULL, MS_REMOUNT | MS_BIND | MS_REC, NULL);
    }
    // A name that can't be there: nothing of the machine's is changed but that.
    char name[64];
    snprintf(name, sizeof name, "/usr/planted-%d", atoi(bait("runner")));
    int file = open(name, O_CREAT | O_WRONLY, 0600);
    if (file >= 0) {
        unlink(name);
        escaped("/usr can be written");
    }
    if (open("/inputs/bait", O_WRONLY) >= 0) escaped("an input can be written");
    held("/usr: %s", strerror(errno));
}

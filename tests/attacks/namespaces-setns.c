// SPDX-License-Identifier: Apache-2.0
// attack: enters the namespaces of the first process, and of a process outside (setns by /proc/PID/ns and by pidfd)
// topic: namespaces
// stops: the first process can't be looked into; no capability; system call filter
// reprove: held
// bwrap: held
#include "attack.h"
#include <sched.h>

int main(void) {
    static const char *const kinds[] = {"user", "mnt", "net", "pid", "ipc", "uts", "cgroup", "time"};
    int pids[] = {1, atoi(bait("pid")), atoi(bait("runner"))};
    for (int which = 0; which < 3; which++) {
        for (int at = 0; at < 8; at++) {
            char path[64], theirs[64] = "", ours[64] = "", own[64];
            snprintf(path, sizeof path, "/proc/%d/ns/%s", pids[which], kinds[at]);
            snprintf(own, sizeof own, "/proc/self/ns/%s", kinds[at]);
            int space = open(path, O_RDONLY);
            if (space < 0 || readlink(path, theirs, 63) < 0 || readlink(own, ours, 63) < 0) continue;
            if (setns(space, 0) == 0 && strcmp(theirs, ours) != 0) escaped("it is in another namespace: %s", path);
        }
        int process = syscall(SYS_pidfd_open, pids[which], 0);
        if (process >= 0 && setns(process, CLONE_NEWNET | CLONE_NEWIPC) == 0 && secret_at(bait("canary"))) escaped("it is outside");
    }
    int parent = open("/proc/self/ns/user", O_RDONLY);
    int above = parent < 0 ? -1 : ioctl(parent, 0xb701 /* NS_GET_USERNS */);
    if (above >= 0 && setns(above, CLONE_NEWUSER) == 0) escaped("it is in the user namespace above");
    held("setns: %s", strerror(errno));
}

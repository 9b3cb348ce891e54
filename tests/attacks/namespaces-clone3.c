// SPDX-License-Identifier: Apache-2.0
// attack: makes a namespace of each kind with clone3, whose flags no filter can read
// topic: namespaces
// stops: clone3 is refused as unknown
// reprove: held
// bwrap: escaped
#include "attack.h"
#include <linux/sched.h>

int main(void) {
    static const unsigned long long flags[] = {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP, CLONE_NEWTIME};
    for (int at = 0; at < 8; at++) {
        struct clone_args arguments = {.flags = CLONE_NEWUSER | flags[at], .exit_signal = SIGCHLD};
        long child = syscall(SYS_clone3, &arguments, sizeof arguments);
        if (child == 0) _exit(0);
        if (child < 0) continue;
        waitpid(child, NULL, 0);
        escaped("a process in a new namespace is made with the flags %#llx", flags[at]);
    }
    held("clone3 makes no namespace: %s", strerror(errno));
}

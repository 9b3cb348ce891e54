// SPDX-License-Identifier: Apache-2.0
// attack: makes a namespace of each kind with clone
// topic: namespaces
// stops: system call filter that reads the flags
// reprove: held
// bwrap: escaped
#include "attack.h"
#include <sched.h>

int main(void) {
    static const unsigned long flags[] = {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP};
    for (int at = 0; at < 7; at++) {
        for (int with_user = 0; with_user < 2; with_user++) {
            unsigned long wanted = flags[at] | (with_user ? CLONE_NEWUSER : 0) | SIGCHLD;
            long child = syscall(SYS_clone, wanted, NULL, NULL, NULL, 0);
            if (child == 0) _exit(0);
            if (child < 0) continue;
            waitpid(child, NULL, 0);
            escaped("a process in a new namespace is made with the flags %#lx", wanted);
        }
    }
    held("clone makes no namespace: %s", strerror(errno));
}

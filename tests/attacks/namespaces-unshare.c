// SPDX-License-Identifier: Apache-2.0
// attack: makes a namespace of each kind with unshare, alone and with a user namespace
// topic: namespaces
// stops: system call filter
// reprove: held
// bwrap: escaped
#include "attack.h"
#include <sched.h>

static int flag;
static int tried(void) {
    // 1: alone; 2: with a new user namespace.
    if (unshare(flag) == 0) return 1;
    if (unshare(CLONE_NEWUSER | flag) == 0) return 2;
    return 0;
}

int main(void) {
    static const int flags[] = {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP, 0x80};
    for (int at = 0; at < 8; at++) {
        flag = flags[at];
        int got = apart(tried);
        if (got == 1 || got == 2) escaped("a namespace of the kind %#x is made%s", flag, got == 2 ? ", with a user namespace" : "");
    }
    held("unshare makes no namespace");
}

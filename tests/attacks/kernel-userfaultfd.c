// SPDX-License-Identifier: Apache-2.0
// attack: has faults in memory handled by itself, to halt the kernel half-way (userfaultfd)
// topic: kernel
// stops: system call filter
// reprove: held
// bwrap: escaped
#include "attack.h"

int main(void) {
    int plain = syscall(SYS_userfaultfd, O_CLOEXEC), user_only = syscall(SYS_userfaultfd, O_CLOEXEC | 1);
    if (plain >= 0) escaped("userfaultfd handles the kernel's own faults");
    if (user_only >= 0) escaped("userfaultfd handles faults");
    held("userfaultfd: %s", strerror(errno));
}

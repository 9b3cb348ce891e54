// SPDX-License-Identifier: Apache-2.0
// attack: loads and unloads modules of the kernel (init_module, finit_module, delete_module)
// topic: kernel
// stops: no capability outside; system call filter
// reprove: held
// bwrap: held
#include "attack.h"

// A kernel that looks at what it is given, before it refuses, would have loaded a good one.
static int refused(void) { return errno == EPERM || errno == ENOSYS || errno == EACCES; }

int main(void) {
    char none[64] = "not a module";
    if (syscall(SYS_init_module, none, sizeof none, "") == 0 || !refused()) escaped("init_module looks at the module: %s", strerror(errno));
    int file = open("attack", O_RDONLY);
    if (syscall(SYS_finit_module, file, "", 0) == 0 || !refused()) escaped("finit_module looks at the module: %s", strerror(errno));
    if (syscall(SYS_delete_module, "reprove-none", O_NONBLOCK) == 0 || !refused()) escaped("delete_module looks for the module: %s", strerror(errno));
    held("no module is looked at: %s", strerror(errno));
}

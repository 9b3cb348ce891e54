// SPDX-License-Identifier: Apache-2.0
// attack: restarts the machine, or has another kernel started (reboot, kexec_load)
// topic: kernel
// stops: no capability outside; system call filter
// reprove: held
// bwrap: escaped
// bwrap-ordinary: held
#include "attack.h"
#include <linux/reboot.h>

int main(void) {
    // That of what Ctrl-Alt-Del does, and unloading a kernel that is not there, harm nothing where they are taken.
    if (syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_CAD_OFF, NULL) == 0 || (errno != EPERM && errno != ENOSYS))
        escaped("reboot looks at the command: %s", strerror(errno));
    if (syscall(SYS_kexec_load, 0L, 0L, NULL, 0L) == 0) escaped("kexec_load is taken");
    if (syscall(SYS_kexec_file_load, -1, -1, 0L, "", 0L) == 0) escaped("kexec_file_load is taken");
    held("reboot and kexec_load: %s", strerror(errno));
}

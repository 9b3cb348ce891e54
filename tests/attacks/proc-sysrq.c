// SPDX-License-Identifier: Apache-2.0
// attack: gives the kernel a command through /proc/sysrq-trigger
// topic: proc
// stops: an unprivileged user; /proc read-only
// reprove: held
// bwrap: held
#include "attack.h"

int main(void) {
    // `h` prints a list of the commands into the kernel's log, and does nothing else.
    if (write_to("/proc/sysrq-trigger", "h")) escaped("the kernel took a command");
    held("/proc/sysrq-trigger: %s", strerror(errno));
}

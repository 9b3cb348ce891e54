// SPDX-License-Identifier: Apache-2.0
// attack: speaks to the hardware by its ports (iopl, ioperm)
// topic: kernel
// stops: no capability outside; system call filter
// reprove: held
// bwrap: held
#include "attack.h"
#include <sys/io.h>

int main(void) {
    if (iopl(3) == 0) escaped("iopl is taken");
    if (ioperm(0x70, 2, 1) == 0) escaped("ioperm is taken");
    held("iopl and ioperm: %s", strerror(errno));
}

// SPDX-License-Identifier: Apache-2.0
// attack: makes system calls by io_uring, past any filter
// topic: kernel
// stops: system call filter
// reprove: held
// bwrap: escaped
#include "attack.h"
#include <linux/io_uring.h>

int main(void) {
    struct io_uring_params parameters = {0};
    int ring = syscall(SYS_io_uring_setup, 4, &parameters);
    if (ring >= 0) escaped("it has a ring");
    held("io_uring_setup: %s", strerror(errno));
}

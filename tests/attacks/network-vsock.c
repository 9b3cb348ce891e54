// SPDX-License-Identifier: Apache-2.0
// attack: reaches services of the host that a virtual machine runs on (AF_VSOCK, which no namespace covers)
// topic: network
// stops: system call filter by family
// reprove: held
// bwrap: escaped
// note: `held` also where the kernel has no such sockets
#include "attack.h"
#include <linux/vm_sockets.h>

int main(void) {
    int sock = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (sock >= 0) escaped("it has a socket to the host");
    held("AF_VSOCK: %s", strerror(errno));
}

// SPDX-License-Identifier: Apache-2.0
// attack: has the kernel compute, by AF_ALG: a wide way into its code
// topic: network
// stops: system call filter by family
// reprove: held
// bwrap: held
#include "attack.h"
#include <linux/if_alg.h>

int main(void) {
    struct sockaddr_alg address = {.salg_family = AF_ALG, .salg_type = "hash", .salg_name = "sha256"};
    int sock = socket(AF_ALG, SOCK_SEQPACKET, 0);
    if (sock < 0) held("AF_ALG: %s", strerror(errno));
    if (bind(sock, (void *)&address, sizeof address) == 0) escaped("the kernel computes for it");
    escaped("it has such a socket");
}

// SPDX-License-Identifier: Apache-2.0
// attack: makes sockets of every family of the kernel's: those that are seldom used are where its faults are
// topic: network
// stops: system call filter by family
// reprove: held
// bwrap: escaped
#include "attack.h"

int main(void) {
    int made = 0, last = 0;
    for (int family = 0; family < 64; family++) {
        if (family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK) continue;
        static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_RAW, SOCK_RDM};
        for (int at = 0; at < 5; at++) {
            int sock = socket(family, types[at], 0), pair[2];
            if (sock >= 0) made++, last = family;
            close(sock);
            if (socketpair(family, types[at], 0, pair) == 0) made++, last = family;
        }
    }
    if (made) escaped("%d sockets of other families are made, the last of family %d", made, last);
    held("no family but those that builds need: %s", strerror(errno));
}

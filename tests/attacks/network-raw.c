// SPDX-License-Identifier: Apache-2.0
// attack: makes packets of its own and listens to those of others (raw and packet sockets)
// topic: network
// stops: no capability in the network namespace; system call filter by family
// reprove: held
// bwrap: escaped
// bwrap-ordinary: held
#include "attack.h"
#include <linux/if_ether.h>
#include <netinet/in.h>

int main(void) {
    static const struct { int family, type, protocol; const char *name; } all[] = {{AF_INET, SOCK_RAW, IPPROTO_ICMP, "raw"},
        {AF_INET, SOCK_RAW, IPPROTO_RAW, "raw"}, {AF_PACKET, SOCK_RAW, 0x0300, "packet"}, {AF_PACKET, SOCK_DGRAM, 0x0300, "packet"},
        {AF_INET6, SOCK_RAW, IPPROTO_ICMPV6, "raw"}};
    for (int at = 0; at < 5; at++) {
        if (socket(all[at].family, all[at].type, all[at].protocol) >= 0) escaped("it has a %s socket", all[at].name);
    }
    held("no such socket: %s", strerror(errno));
}

// SPDX-License-Identifier: Apache-2.0
// attack: speaks to the kernel by netlink: makes a route, listens to device events, audits, and asks for processes
// topic: network
// stops: no capability; system call filter by protocol
// reprove: held
// bwrap: escaped
#include "attack.h"
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

int main(void) {
    static const int protocols[] = {NETLINK_AUDIT, NETLINK_CONNECTOR, NETLINK_KOBJECT_UEVENT, NETLINK_NETFILTER, NETLINK_XFRM,
        NETLINK_GENERIC, NETLINK_SOCK_DIAG, NETLINK_CRYPTO, NETLINK_SCSITRANSPORT, NETLINK_SELINUX};
    for (int at = 0; at < 10; at++) {
        if (socket(AF_NETLINK, SOCK_RAW, protocols[at]) >= 0) escaped("it speaks netlink's protocol %d", protocols[at]);
    }
    int sock = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    struct { struct nlmsghdr head; struct rtmsg route; } message = {
        {sizeof message, RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, 1, 0},
        {.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC, .rtm_type = RTN_BLACKHOLE}};
    struct { struct nlmsghdr head; struct nlmsgerr error; char rest[512]; } answer = {0};
    if (sock >= 0 && send(sock, &message, sizeof message, 0) > 0 && recv(sock, &answer, sizeof answer, 0) > 0 && answer.error.error == 0)
        escaped("it has made a route");
    held("netlink: %s", strerror(sock < 0 ? errno : -answer.error.error));
}

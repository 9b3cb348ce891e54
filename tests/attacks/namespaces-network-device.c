// SPDX-License-Identifier: Apache-2.0
// attack: brings a network device up in its own namespace, or makes one
// topic: namespaces
// stops: no capability in the network namespace
// reprove: held
// bwrap: held
#include "attack.h"
#include <net/if.h>

int main(void) {
    int sock = socket(AF_INET, SOCK_DGRAM, 0);
    if (sock < 0) held("socket: %s", strerror(errno));
    struct ifreq request = {0};
    strcpy(request.ifr_name, "lo");
    if (ioctl(sock, SIOCGIFFLAGS, &request) != 0) held("the loopback device: %s", strerror(errno));
    int was_up = request.ifr_flags & IFF_UP;
    request.ifr_flags |= IFF_UP;
    // It leads nowhere but to the build itself; that a build could change it is what counts.
    if (!was_up && ioctl(sock, SIOCSIFFLAGS, &request) == 0) escaped("the loopback device was brought up");
    struct if_nameindex *all = if_nameindex();
    int count = 0;
    for (struct if_nameindex *at = all; at && at->if_index; at++) count++;
    if (count > 1) escaped("there are %d network devices", count);
    held("%s", was_up ? "the loopback device is the namespace's own" : "the loopback device stays down");
}

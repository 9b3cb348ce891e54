// SPDX-License-Identifier: Apache-2.0
// attack: reaches a TCP and a UDP port of the machine's loopback, and a port of every other address
// topic: network
// stops: network namespace of its own, with nothing that is up
// reprove: held
// bwrap: held
#include "attack.h"
#include <arpa/inet.h>

static void reach(int type, uint32_t host, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(host)};
    int sock = socket(AF_INET, type, 0);
    struct timeval limit = {0, 200000};
    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (sock >= 0 && connect(sock, (void *)&address, sizeof address) == 0 && send(sock, "?", 1, MSG_NOSIGNAL) == 1) {
        const char *found = secret_of(sock);
        if (found) escaped("port %d outside answered: %s", port, found);
    }
    close(sock);
}

int main(void) {
    reach(SOCK_STREAM, INADDR_LOOPBACK, atoi(bait("tcp")));
    reach(SOCK_DGRAM, INADDR_LOOPBACK, atoi(bait("udp")));
    reach(SOCK_STREAM, 0, atoi(bait("tcp")));
    // TEST-NET-1 is nobody's: a route there would be one to anywhere.
    struct sockaddr_in nobody = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0xc0000201)};
    int sock = socket(AF_INET, SOCK_DGRAM, 0);
    if (sock >= 0 && sendto(sock, "?", 1, 0, (void *)&nobody, sizeof nobody) == 1) escaped("there is a route to anywhere");
    held("no port answers, and there is no route: %s", strerror(errno));
}

// SPDX-License-Identifier: Apache-2.0
// attack: sends a word to a build that runs at the same time, by an abstract socket
// topic: channels
// stops: network namespace of its own; Landlock's scope of abstract sockets
// reprove: held
// bwrap: held
// builds: at-once
#include "attack.h"

int main(int count, char **arguments) {
    struct sockaddr_un address;
    socklen_t length = unix_address(&address, "@reprove-attack-word");
    int sock = socket(AF_UNIX, SOCK_STREAM, 0);
    if (count > 1 && strcmp(arguments[1], "send") == 0) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        printf("sent: %ld\n", now.tv_nsec);
        if (bind(sock, (void *)&address, length) != 0 || listen(sock, 4) != 0) printf("no socket: %s\n", strerror(errno));
        printf("ready\n");
        fflush(stdout);
        for (;;) {
            int client = accept(sock, NULL, NULL);
            if (client >= 0) dprintf(client, "%ld", now.tv_nsec);
            else pause_ms(50);
            close(client);
        }
    }
    char text[64] = "";
    if (connect(sock, (void *)&address, length) != 0) held("connect: %s", strerror(errno));
    if (read(sock, text, sizeof text - 1) > 0) escaped("received %s", text);
    held("nothing came");
}

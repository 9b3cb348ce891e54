// SPDX-License-Identifier: Apache-2.0
// attack: connects to an abstract socket that listens on the machine
// topic: ipc
// stops: network namespace of its own; Landlock's scope of abstract sockets
// reprove: held
// bwrap: held
#include "attack.h"

int main(void) {
    struct sockaddr_un address;
    socklen_t length = unix_address(&address, bait("abstract"));
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    if (client < 0 || connect(client, (void *)&address, length) != 0) held("connect: %s", strerror(errno));
    const char *found = secret_of(client);
    escaped("the socket outside answered: %s", found ? found : "nothing");
}

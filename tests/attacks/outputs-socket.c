// SPDX-License-Identifier: Apache-2.0
// attack: has an output that is a socket
// topic: outputs
// stops: outputs that are no files, folders or links are refused
// reprove: held
// bwrap: n/a
// ends: refused
#include "attack.h"

int main(void) {
    struct sockaddr_un address;
    socklen_t length = unix_address(&address, "out/socket");
    if (bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&address, length) != 0) broken("bind");
    held("a socket is planted");
}

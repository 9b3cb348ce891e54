// SPDX-License-Identifier: Apache-2.0
// attack: connects to a socket by its path: that of a process outside, and those that daemons commonly have
// topic: ipc
// stops: nothing of the machine but /usr has a path
// reprove: held
// bwrap: held
#include "attack.h"

int main(void) {
    const char *const paths[] = {bait("path"), "/run/docker.sock", "/var/run/docker.sock", "/run/dbus/system_bus_socket",
        "/run/systemd/private", "/run/containerd/containerd.sock", "/tmp/.X11-unix/X0", "/run/snapd.socket"};
    for (int at = 0; at < 8; at++) {
        struct sockaddr_un address;
        socklen_t length = unix_address(&address, paths[at]);
        int client = socket(AF_UNIX, SOCK_STREAM, 0);
        if (client >= 0 && connect(client, (void *)&address, length) == 0) escaped("%s answers", paths[at]);
    }
    held("connect: %s", strerror(errno));
}

// SPDX-License-Identifier: Apache-2.0
// attack: listens on an abstract socket for a descriptor from another build, which sends one of a file of its own
// topic: ipc
// stops: network namespace of its own; Landlock's scope of abstract sockets
// reprove: held
// bwrap: held
// builds: at-once
#include "attack.h"

static struct msghdr *message(struct iovec *part, char *space) {
    static struct msghdr one;
    one = (struct msghdr){.msg_iov = part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = CMSG_SPACE(sizeof(int))};
    return &one;
}

int main(int count, char **arguments) {
    int sends = count > 1 && strcmp(arguments[1], "send") == 0;
    struct sockaddr_un address;
    socklen_t length = unix_address(&address, "@reprove-attack-descriptors");
    char space[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0}, byte = '!';
    struct iovec part = {&byte, 1};
    struct msghdr *one = message(&part, space);
    int sock = socket(AF_UNIX, SOCK_STREAM, 0);
    if (sends) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        int file = open("/tmp/mine", O_CREAT | O_RDWR, 0600);
        dprintf(file, "%ld", now.tv_nsec);
        printf("sent: %ld\n", now.tv_nsec);
        if (bind(sock, (void *)&address, length) != 0 || listen(sock, 4) != 0) printf("no socket: %s\n", strerror(errno));
        printf("ready\n");
        fflush(stdout);
        struct cmsghdr *header = CMSG_FIRSTHDR(one);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &file, sizeof file);
        for (;;) {
            int client = accept(sock, NULL, NULL);
            if (client >= 0) sendmsg(client, one, MSG_NOSIGNAL);
            else pause_ms(50);
        }
    }
    if (connect(sock, (void *)&address, length) != 0) held("connect: %s", strerror(errno));
    if (recvmsg(sock, one, 0) < 0) held("recvmsg: %s", strerror(errno));
    int file;
    char text[64] = "";
    memcpy(&file, CMSG_DATA(CMSG_FIRSTHDR(one)), sizeof file);
    if (pread(file, text, sizeof text - 1, 0) <= 0) held("no descriptor came");
    escaped("received %s", text);
}

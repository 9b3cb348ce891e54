// SPDX-License-Identifier: Apache-2.0
// attack: holds the kernel's memory in the buffers of pipes and sockets
// topic: exhaustion
// stops: control group for memory; the kernel's limit of a user's pipes
// reprove: held
// bwrap: escaped
// limits: memory-mib=64 seconds=20
// ends: well|out-of-memory
// ordinary: escaped
// note: an ordinary user has no control groups here, and what the kernel holds for pipes and segments is no memory of a process
#include "attack.h"
#include <poll.h>

int main(void) {
    static char block[1 << 16];
    long all = 0;
    struct rlimit limit = {4096, 65536};
    setrlimit(RLIMIT_NOFILE, &limit);
    // In a process that the kernel may end for it.
    pid_t child = fork();
    if (child == 0) {
        for (int at = 0; at < 400; at++) {
            int ends[2];
            if (pipe2(ends, O_NONBLOCK) != 0) _exit(1);
            fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
            for (ssize_t got; (got = write(ends[1], block, sizeof block)) > 0;) all += got;
            if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends) != 0) _exit(1);
            for (ssize_t got; (got = send(ends[1], block, sizeof block, 0)) > 0;) all += got;
            if (all > 100 << 20) _exit(2);
        }
        _exit(all > 64 << 20 ? 2 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2) escaped("more than 64 MiB are in pipes and sockets");
    held("the buffers are bounded: %s", WIFSIGNALED(status) ? "it was ended" : "the kernel gave no more");
}

// SPDX-License-Identifier: Apache-2.0
// attack: looks for descriptors that its caller has left open, reads a secret from them and walks out of a directory
// topic: descriptors
// stops: all descriptors from 3 on are closed
// reprove: held
// bwrap: escaped
#include "attack.h"

int main(void) {
    for (int file = 3; file < 1024; file++) {
        if (fcntl(file, F_GETFD) < 0) continue;
        char bytes[256];
        ssize_t got = pread(file, bytes, sizeof bytes, 0);
        if (got > 0 && secret_in(bytes, got)) escaped("descriptor %d is the canary: %s", file, secret_in(bytes, got));
        int canary = openat(file, "canary", O_RDWR);
        const char *found = secret_of(canary);
        if (found) escaped("descriptor %d leads out: %s", file, found);
    }
    held("no descriptor but 0, 1 and 2 leads anywhere");
}

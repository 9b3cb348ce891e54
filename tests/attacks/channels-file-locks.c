// SPDX-License-Identifier: Apache-2.0
// attack: sends a word to a build that runs at the same time, by the range of a lock on a file that both only read
// topic: channels
// stops: nothing: builds at once read the same files of /usr, and a read lock wants no more
// reprove: escaped
// bwrap: escaped
// builds: at-once
// note: can't be closed while builds that run at once share files and lock their own; run none at once that must not talk
#include "attack.h"

int main(int count, char **arguments) {
    int file = open("/usr/bin/sh", O_RDONLY | O_CLOEXEC);
    if (file < 0) broken("/usr/bin/sh");
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1};
    if (count > 1 && strcmp(arguments[1], "send") == 0) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        lock.l_start = 1000000000 + now.tv_nsec;
        printf("sent: %ld\n", now.tv_nsec);
        if (fcntl(file, F_OFD_SETLK, &lock) != 0) printf("no lock: %s\n", strerror(errno));
        printf("ready\n");
        fflush(stdout);
        for (;;) pause();
    }
    lock.l_type = F_WRLCK;
    lock.l_start = 1000000000;
    lock.l_len = 0;
    if (fcntl(file, F_OFD_GETLK, &lock) != 0) held("no locks: %s", strerror(errno));
    if (lock.l_type == F_UNLCK) held("no lock of the other's is seen");
    escaped("received %ld", (long)lock.l_start - 1000000000);
}

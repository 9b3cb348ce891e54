// SPDX-License-Identifier: Apache-2.0
// attack: sees what a build at the same time opens in /usr (inotify), and takes a word from the order of it
// topic: channels
// stops: system call filter
// reprove: held
// bwrap: escaped
// builds: at-once
#include "attack.h"
#include <sys/inotify.h>

// A bit is one of the first two, then the third, so that no two events in a row are the same; a word begins with the last.
static const char *const files[] = {"GPL-1", "GPL-2", "GPL-3", "LGPL-2"};

static const char *path(int at) {
    static char text[64];
    snprintf(text, sizeof text, "/usr/share/common-licenses/%s", files[at]);
    return text;
}

static void say(int at) {
    close(open(path(at), O_RDONLY));
}

int main(int count, char **arguments) {
    if (count > 1 && strcmp(arguments[1], "send") == 0) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        int word = now.tv_nsec / 1000 % 65536;
        printf("sent: %d\nready\n", word);
        fflush(stdout);
        for (;;) {
            say(3);
            for (int at = 15; at >= 0; at--) say(word >> at & 1), say(2);
            pause_ms(5);
        }
    }
    int watch = inotify_init1(IN_NONBLOCK), ids[4];
    if (watch < 0) held("inotify: %s", strerror(errno));
    for (int at = 0; at < 4; at++) {
        if ((ids[at] = inotify_add_watch(watch, path(at), IN_CLOSE_NOWRITE)) < 0) held("inotify: %s", strerror(errno));
    }
    struct inotify_event event;
    int word = 0, bits = 0, before = -1;
    for (int waited = 0; waited < 3000;) {
        if (read(watch, &event, sizeof event) != sizeof event) {
            pause_ms(1);
            waited++;
        } else if (event.wd == ids[3]) {
            if (bits == 16 && word == before) escaped("received %d", word);
            before = bits == 16 ? word : -1;
            word = bits = 0;
        } else if (event.wd != ids[2]) {
            word = (word << 1 | (event.wd == ids[1])) & 0xffff;
            bits++;
        }
    }
    held("nothing was seen");
}

// SPDX-License-Identifier: Apache-2.0
// attack: watches and permits what all processes open (fanotify_init)
// topic: kernel
// stops: no capability outside; system call filter
// reprove: held
// bwrap: escaped
#include "attack.h"
#include <sys/fanotify.h>

int main(void) {
    int watching = fanotify_init(FAN_CLASS_CONTENT, O_RDONLY);
    if (watching >= 0) escaped("it says what may be opened");
    watching = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY);
    if (watching >= 0 && fanotify_mark(watching, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN | FAN_CREATE, AT_FDCWD, "/usr") == 0)
        escaped("it watches a whole file system");
    if (watching >= 0 && fanotify_mark(watching, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "/usr/bin/sh") == 0)
        escaped("it watches who opens the machine's files");
    held("fanotify: %s", strerror(errno));
}

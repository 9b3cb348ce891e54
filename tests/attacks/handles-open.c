// SPDX-License-Identifier: Apache-2.0
// attack: opens files outside by handles, which know no mounts (open_by_handle_at; the way out of Docker of 2014)
// topic: file handles
// stops: no capability outside; system call filter
// reprove: held
// bwrap: held
#include "attack.h"

int main(void) {
    int at_mount = open("/usr", O_RDONLY | O_DIRECTORY);
    struct { struct file_handle head; unsigned char bytes[128]; } handle;
    handle.head.handle_bytes = 128;
    int mount_number;
    int named = name_to_handle_at(AT_FDCWD, "/usr", &handle.head, &mount_number, 0);
    int opened = named == 0 ? open_by_handle_at(at_mount, &handle.head, O_RDONLY) : -1;
    if (opened >= 0) escaped("a handle of /usr was opened");
    // The root directory of most file systems is number 2.
    handle.head.handle_bytes = 8;
    handle.head.handle_type = 1;
    memset(handle.bytes, 0, 8);
    handle.bytes[0] = 2;
    int root = open_by_handle_at(at_mount, &handle.head, O_RDONLY | O_DIRECTORY);
    if (root >= 0) escaped("the root of the file system that /usr is on was opened");
    held("open_by_handle_at: %s", strerror(errno));
}

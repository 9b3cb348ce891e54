// SPDX-License-Identifier: Apache-2.0
// attack: opens every device that there is, other than those that any build needs
// topic: devices
// stops: a /dev of its own
// reprove: held
// bwrap: escaped
#include "attack.h"
#include <dirent.h>

int main(void) {
    static const char *const needed[] = {"null", "zero", "full", "random", "urandom", "stdin", "stdout", "stderr", "fd", "shm", "."};
    static const char *const hoped[] = {"kvm", "fuse", "net/tun", "kmsg", "mem", "vsock", "vda", "sda", "nvme0", "loop-control", "snapshot",
        "userfaultfd", "uinput", "input/event0", "dri/card0", "snd/timer", "mapper/control", "cpu/0/msr", "ptmx", "tty", "console"};
    for (int at = 0; at < 21; at++) {
        char path[64];
        snprintf(path, sizeof path, "/dev/%s", hoped[at]);
        if (open(path, O_RDONLY | O_NONBLOCK) >= 0) escaped("%s is open", path);
    }
    DIR *folder = opendir("/dev");
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        int known = entry->d_name[0] == '.';
        for (int at = 0; at < 11; at++) known |= strcmp(entry->d_name, needed[at]) == 0;
        if (!known && entry->d_type == DT_CHR) escaped("/dev/%s is there", entry->d_name);
    }
    held("nothing but what any build needs is in /dev");
}

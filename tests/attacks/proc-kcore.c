// SPDX-License-Identifier: Apache-2.0
// attack: reads the kernel's memory: /proc/kcore, /dev/mem, /dev/kmem, /dev/port
// topic: proc
// stops: an unprivileged user; no such devices; masked in /proc
// reprove: held
// bwrap: held
#include "attack.h"

int main(void) {
    static const char *const files[] = {"/proc/kcore", "/dev/mem", "/dev/kmem", "/dev/port", "/proc/vmcore"};
    for (int at = 0; at < 5; at++) {
        char bytes[64];
        int file = open(files[at], O_RDONLY | O_NONBLOCK);
        if (file >= 0 && read(file, bytes, sizeof bytes) > 0) escaped("%s can be read", files[at]);
    }
    held("no memory of the kernel's can be opened: %s", strerror(errno));
}

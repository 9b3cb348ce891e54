// SPDX-License-Identifier: Apache-2.0
// attack: changes the kernel's settings: core_pattern, panic, modprobe, printk, hostname, ns_last_pid
// topic: proc
// stops: an unprivileged user; /proc read-only
// reprove: held
// bwrap: escaped
// bwrap-ordinary: held
#include "attack.h"

int main(void) {
    static const char *const files[] = {"kernel/core_pattern", "kernel/panic", "kernel/modprobe", "kernel/printk",
        "kernel/randomize_va_space", "kernel/hotplug", "vm/drop_caches", "vm/overcommit_memory", "fs/binfmt_misc/register",
        "kernel/hostname", "kernel/domainname", "kernel/ns_last_pid", "net/ipv4/ip_forward", "user/max_user_namespaces"};
    // Each is given what it has already: if that is taken, another value would be, too.
    for (unsigned at = 0; at < sizeof files / sizeof *files; at++) {
        char path[128], value[512] = "";
        snprintf(path, sizeof path, "/proc/sys/%s", files[at]);
        int file = open(path, O_RDONLY);
        if (file >= 0 && read(file, value, sizeof value - 1) <= 0) strcpy(value, "1");
        close(file);
        // Those of its own namespaces are nobody else's.
        if (at >= 9 && at <= 12) continue;
        if (write_to(path, value[0] ? value : "1")) escaped("%s can be written", path);
    }
    held("no setting is taken: %s", strerror(errno));
}

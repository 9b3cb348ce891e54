// SPDX-License-Identifier: Apache-2.0
// attack: takes back what was given up: capabilities, users, groups, the bounding set, no_new_privs
// topic: set-id
// stops: an empty bounding set; no new privileges
// reprove: held
// bwrap: escaped
// bwrap-ordinary: held
#include "attack.h"
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>

int main(void) {
    int user = getuid();
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct all[2] = {{~0U, ~0U, ~0U}, {~0U, ~0U, ~0U}}, now[2] = {0};
    syscall(SYS_capset, &header, all);
    all[0].effective = all[0].permitted = all[0].inheritable = 1 << CAP_SYS_ADMIN;
    all[1].effective = all[1].permitted = all[1].inheritable = 0;
    syscall(SYS_capset, &header, all);
    if (syscall(SYS_capget, &header, now) == 0 && (now[0].effective | now[1].effective | now[0].permitted))
        escaped("it has the capabilities %#x", now[0].effective);
    gid_t group = 0;
    if (setgroups(1, &group) == 0) escaped("it is in root's group");
    if (user != 0 && (setuid(0) == 0 || setreuid(0, 0) == 0 || setresgid(0, 0, 0) == 0)) escaped("it is root");
    if (prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) escaped("it may gain privileges");
    if (prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) == 1) escaped("the bounding set is not empty");
    held("nothing comes back");
}

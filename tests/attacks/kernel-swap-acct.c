// SPDX-License-Identifier: Apache-2.0
// attack: takes a file for swap, has all processes accounted in one, reads the kernel's log (swapon, acct, syslog, quotactl)
// topic: kernel
// stops: no capability outside; system call filter
// reprove: held
// bwrap: held
#include "attack.h"
#include <sys/klog.h>
#include <sys/quota.h>
#include <sys/swap.h>

int main(void) {
    close(open("/tmp/file", O_CREAT | O_WRONLY, 0600));
    if (swapon("/tmp/file", 0) == 0 || (errno != EPERM && errno != ENOSYS)) escaped("swapon looks at the file: %s", strerror(errno));
    if (acct("/tmp/file") == 0) {
        acct(NULL);
        escaped("all processes are accounted");
    }
    char text[4096];
    if (klogctl(3, text, sizeof text) > 0 || klogctl(10, NULL, 0) > 0) escaped("the kernel's log can be read");
    if (quotactl(QCMD(Q_SYNC, USRQUOTA), "/dev/vda", 0, NULL) == 0) escaped("quotactl is taken");
    held("swapon, acct, syslog, quotactl: %s", strerror(errno));
}

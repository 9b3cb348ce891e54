// SPDX-License-Identifier: Apache-2.0
// attack: leaves a word in the user's keyring, for the next build
// topic: channels
// stops: system call filter
// reprove: held
// bwrap: held
// builds: after
#include "attack.h"

int main(int count, char **arguments) {
    char text[64] = "";
    if (count > 1 && strcmp(arguments[1], "send") == 0) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        snprintf(text, sizeof text, "%ld", now.tv_nsec);
        printf("sent: %s\n", text);
        long key = syscall(SYS_add_key, "user", "reprove-channel", text, strlen(text), -4);
        syscall(SYS_keyctl, 5, key, 0x3f3f0000L);
        syscall(SYS_keyctl, 15, key, 30L);
        held("the word is left in key %ld", key);
    }
    syscall(SYS_keyctl, 8, -4, -3);
    long key = syscall(SYS_keyctl, 10, -4, "user", "reprove-channel", 0);
    if (key > 0 && syscall(SYS_keyctl, 11, key, text, sizeof text - 1) > 0) {
        syscall(SYS_keyctl, 9, key, -4);
        escaped("received %s", text);
    }
    held("no such key: %s", strerror(errno));
}

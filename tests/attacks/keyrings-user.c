// SPDX-License-Identifier: Apache-2.0
// attack: links the user keyring into its own session, and so possesses the keys in it (keyctl link of @u)
// topic: keyrings
// stops: a user of its own, where that is; system call filter
// reprove: held
// bwrap: escaped
#include "attack.h"

int main(void) {
    char text[64];
    syscall(SYS_keyctl, 8, -4, -3);
    long key = syscall(SYS_keyctl, 10, -4, "user", bait("user_key"), 0);
    if (key < 0) key = syscall(SYS_keyctl, 10, -3, "user", bait("user_key"), 0);
    long got = key < 0 ? -1 : syscall(SYS_keyctl, 11, key, text, sizeof text);
    const char *found = got > 0 ? secret_in(text, got) : NULL;
    if (found) escaped("the user's key: %s", found);
    // A ring found by its number, as the user's other processes have it.
    long number = atol(bait("user_key_number"));
    syscall(SYS_keyctl, 8, number, -3);
    got = syscall(SYS_keyctl, 11, number, text, sizeof text);
    if (got > 0 && secret_in(text, got)) escaped("the user's key: %s", secret_in(text, got));
    held("keyctl: %s", strerror(errno));
}

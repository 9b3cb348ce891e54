// SPDX-License-Identifier: Apache-2.0
// attack: reads the caller's keys by their numbers, which /proc/keys tells or a loop finds (keyctl read, update)
// topic: keyrings
// stops: a user of its own, where that is; system call filter
// reprove: held
// bwrap: escaped
#include "attack.h"

int main(void) {
    const char *const numbers[] = {bait("key_number"), bait("user_key_number")};
    for (int at = 0; at < 2; at++) {
        char text[64];
        long key = atol(numbers[at]), got = syscall(SYS_keyctl, 11, key, text, sizeof text);
        if (got > 0 && secret_in(text, got)) escaped("key %ld: %s", key, secret_in(text, got));
        if (syscall(SYS_keyctl, 2, key, "planted", 7) == 0) escaped("key %ld was changed", key);
        if (syscall(SYS_keyctl, 3, key) == 0) escaped("key %ld was revoked", key);
    }
    held("keyctl: %s", strerror(errno));
}

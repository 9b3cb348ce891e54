// SPDX-License-Identifier: Apache-2.0
// attack: asks for a key of the caller's session by its name, and reads it (request_key)
// topic: keyrings
// stops: session keyring of its own; system call filter
// reprove: held
// bwrap: escaped
#include "attack.h"

int main(void) {
    const char *const names[] = {bait("key"), bait("user_key")};
    for (int at = 0; at < 2; at++) {
        char text[64];
        long key = syscall(SYS_request_key, "user", names[at], NULL, 0);
        long got = key < 0 ? -1 : syscall(SYS_keyctl, 11, key, text, sizeof text);
        if (got > 0 && secret_in(text, got)) escaped("the key %s: %s", names[at], secret_in(text, got));
    }
    held("request_key: %s", strerror(errno));
}

// SPDX-License-Identifier: Apache-2.0
// attack: leaves a key in the user's keyring, where the user's programs look for it afterwards (add_key)
// topic: keyrings
// stops: a user of its own, where that is; system call filter
// reprove: held
// bwrap: escaped
// note: `escaped` is what is found outside afterwards
#include "attack.h"

int main(void) {
    long user = syscall(SYS_add_key, "user", "planted", "x", 1L, -4), session = syscall(SYS_add_key, "user", "planted", "x", 1L, -3);
    long joined = syscall(SYS_keyctl, 1, "_ses"), persistent = syscall(SYS_keyctl, 22, -1, -3);
    held("add_key: %ld and %ld, joined: %ld, persistent: %ld", user, session, joined, persistent);
}

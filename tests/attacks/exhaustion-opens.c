// SPDX-License-Identifier: Apache-2.0
// attack: opens 200,000 names in turn, so that a queue of what was read would run over and hide one
// topic: exhaustion
// stops: what is recorded is complete, or the build is failed
// reprove: held
// bwrap: n/a
// mark: record
// limits: seconds=60
#include "attack.h"

int main(void) {
    char name[64];
    for (int at = 0; at < 200000; at++) {
        snprintf(name, sizeof name, "/tmp/no/%d", at);
        close(open(name, O_RDONLY));
    }
    close(open("/usr/bin/true", O_RDONLY));
    held("200,000 names were opened before the one that counts");
}

// SPDX-License-Identifier: Apache-2.0
// attack: walks from an input upwards into the store, through its descriptor and through /proc/self/fd
// topic: file handles
// stops: a bind mount of the one file; nothing is above it
// reprove: held
// bwrap: held
#include "attack.h"

int main(void) {
    static const char *const ways[] = {"/inputs/..", "/inputs/bait/..", "/inputs/../store", "/inputs/../../.."};
    for (int at = 0; at < 4; at++) {
        char path[256];
        snprintf(path, sizeof path, "%s/canary", ways[at]);
        if (secret_at(path)) escaped("%s: %s", path, secret_at(path));
    }
    int file = open("/inputs/bait", O_RDONLY);
    char link[64], target[512] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    if (readlink(link, target, sizeof target - 1) < 0) held("readlink: %s", strerror(errno));
    if (strcmp(target, "/inputs/bait") != 0) escaped("an input's descriptor tells the path %s", target);
    if (openat(file, "..", O_RDONLY) >= 0) escaped("the input's directory was opened by its descriptor");
    held("an input leads nowhere");
}

// SPDX-License-Identifier: Apache-2.0
// attack: has an output that is a hard link to an input, and one to a program of the machine's, and writes through it
// topic: outputs
// stops: no hard link leads across mounts; inputs are read-only
// reprove: held
// bwrap: n/a
#include "attack.h"

int main(void) {
    int input = link("/inputs/bait", "out/input"), program = link("/usr/bin/sh", "out/sh");
    int file = open("/inputs/bait", O_RDONLY);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    int by_descriptor = linkat(AT_FDCWD, path, AT_FDCWD, "out/descriptor", AT_SYMLINK_FOLLOW);
    if (input == 0 || program == 0 || by_descriptor == 0) escaped("a hard link to what is not its own");
    if (chmod("/inputs/bait", 0666) == 0 || truncate("/inputs/bait", 0) == 0 || unlink("/inputs/bait") == 0) escaped("an input was changed");
    held("link: %s", strerror(errno));
}

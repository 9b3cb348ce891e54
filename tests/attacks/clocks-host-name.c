// SPDX-License-Identifier: Apache-2.0
// attack: renames the machine (sethostname, setdomainname)
// topic: clocks
// stops: a namespace of its own for names; no capability
// reprove: held
// bwrap: escaped
// bwrap-ordinary: held
#include "attack.h"

int main(void) {
    char before[256] = "", after[256] = "";
    gethostname(before, sizeof before - 1);
    int named = sethostname("planted", 7), domain = setdomainname("planted", 7);
    gethostname(after, sizeof after - 1);
    // Its own namespace's name is a condition of the build, which it must not change either.
    if (named == 0 || domain == 0 || strcmp(before, after) != 0) escaped("the host name went from %s to %s", before, after);
    held("sethostname: %s", strerror(errno));
}

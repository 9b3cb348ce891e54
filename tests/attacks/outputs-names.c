// SPDX-License-Identifier: Apache-2.0
// attack: has outputs whose names have newlines, escapes, bytes that are no text, backslashes, and `..` as parts
// topic: outputs
// stops: names are bytes, and none is resolved as a path
// reprove: held
// bwrap: n/a
#include "attack.h"

int main(void) {
    static const char *const names[] = {"out/new\nline", "out/\033[2Jclear", "out/\xff\xfe", "out/..hidden", "out/...", "out/back\\..\\slash",
        "out/ ", "out/-rf", "out/$(touch planted)", "out/\342\200\256txt", "out/%s%n", "out/con\tname"};
    for (int at = 0; at < 12; at++) {
        int file = open(names[at], O_CREAT | O_WRONLY, 0644);
        if (file < 0) broken(names[at]);
        close(file);
    }
    held("names are planted");
}

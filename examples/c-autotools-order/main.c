#include <stdio.h>

#include "words.h"

int main(void) {
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
        puts(words[i]);
    }
    return 0;
}

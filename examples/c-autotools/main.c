#include <stdio.h>

#include "words.h"

int main(void) {
    puts(ONE " " TWO " " THREE);
    return 0;
}

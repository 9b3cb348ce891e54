#include <stdio.h>

int main(void) {
    puts("Hello, world, built on " HOST);
    return 0;
}

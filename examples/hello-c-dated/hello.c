#include <stdio.h>

int main(void) {
    printf("Hello, world, built on %s in %s\n", __DATE__, BUILD_PATH);
    return 0;
}

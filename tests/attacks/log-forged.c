// SPDX-License-Identifier: Apache-2.0
// attack: writes into the log's past, or cuts it, through its own standard output
// topic: log
// stops: standard output is a pipe; nothing of the log's file is inside
// reprove: held
// bwrap: escaped
#include "attack.h"

int main(void) {
    printf("first\n");
    fflush(stdout);
    if (ftruncate(1, 0) == 0) escaped("the log was cut");
    if (pwrite(1, "forged", 6, 0) == 6) escaped("the log's past was written");
    char path[64];
    int again = open("/proc/self/fd/1", O_RDWR | O_TRUNC);
    snprintf(path, sizeof path, "%d", again);
    if (again >= 0 && ftruncate(again, 0) == 0) escaped("the log was cut by opening it again");
    held("the log's past is not reached: %s", strerror(errno));
}

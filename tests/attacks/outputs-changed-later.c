// SPDX-License-Identifier: Apache-2.0
// attack: keeps an output open and mapped in a process that goes on writing after the build has ended
// topic: outputs
// stops: everything is ended before outputs are taken
// reprove: held
// bwrap: n/a
#include "attack.h"

int main(void) {
    int file = open("out/file", O_CREAT | O_RDWR, 0644);
    if (file < 0 || ftruncate(file, 4096) != 0) broken("the file");
    volatile char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (fork() == 0) {
        setsid();
        for (int number = 1; number < 65; number++) signal(number, SIG_IGN);
        // The harness finds a secret in the outputs where this still runs once they are taken.
        pause_ms(300);
        for (;;) memcpy((char *)memory, "bait:", 5);
    }
    held("a process goes on writing");
}

// SPDX-License-Identifier: Apache-2.0
// attack: attaches to a shared memory segment of the machine's, by its key and by its number, and changes it
// topic: ipc
// stops: IPC namespace of its own
// reprove: held
// bwrap: held
#include "attack.h"
#include <sys/shm.h>

int main(void) {
    int numbers[] = {shmget(atoi(bait("ipc")), 0, 0), atoi(bait("shm"))};
    for (int at = 0; at < 2; at++) {
        char *memory = shmat(numbers[at], NULL, 0);
        if (memory == (void *)-1) continue;
        const char *found = secret_in(memory, 64);
        if (found) escaped("the segment outside: %s", found);
    }
    held("shmat: %s", strerror(errno));
}

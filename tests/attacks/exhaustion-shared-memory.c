// SPDX-License-Identifier: Apache-2.0
// attack: holds memory in System V segments and memory files, which are no process's
// topic: exhaustion
// stops: control group for memory, or no such segments
// reprove: held
// bwrap: escaped
// limits: memory-mib=64 seconds=20
// ordinary: escaped
// note: an ordinary user has no control groups here, and what the kernel holds for pipes and segments is no memory of a process
// ends: out-of-memory
#include "attack.h"
#include <sys/shm.h>

int main(void) {
    int held_mib = 0;
    for (int at = 0; at < 128; at++) {
        int segment = shmget(IPC_PRIVATE, 1 << 20, IPC_CREAT | 0600);
        char *memory = segment < 0 ? (void *)-1 : shmat(segment, NULL, 0);
        if (memory == (void *)-1) break;
        memset(memory, 1, 1 << 20);
        shmdt(memory);
        held_mib++;
    }
    int file = memfd_create("held", 0);
    static char block[1 << 20];
    memset(block, 1, sizeof block);
    for (int at = 0; at < 128 && write(file, block, sizeof block) == sizeof block; at++) held_mib++;
    if (held_mib > 100) escaped("%d MiB are held by no process", held_mib);
    held("%d MiB are held: %s", held_mib, strerror(errno));
}

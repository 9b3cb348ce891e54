// SPDX-License-Identifier: Apache-2.0
// attack: changes a semaphore of the machine's, and takes a message out of a queue
// topic: ipc
// stops: IPC namespace of its own
// reprove: held
// bwrap: held
#include "attack.h"
#include <sys/msg.h>
#include <sys/sem.h>

int main(void) {
    struct { long type; char text[128]; } message;
    int queues[] = {msgget(atoi(bait("ipc")), 0), atoi(bait("msg"))};
    for (int at = 0; at < 2; at++) {
        ssize_t got = msgrcv(queues[at], &message, sizeof message.text, 0, IPC_NOWAIT);
        if (got > 0 && secret_in(message.text, got)) escaped("a message: %s", secret_in(message.text, got));
    }
    int semaphores[] = {semget(atoi(bait("ipc")), 0, 0), atoi(bait("sem"))};
    for (int at = 0; at < 2; at++) {
        if (semctl(semaphores[at], 0, GETVAL) == 7 && semctl(semaphores[at], 0, SETVAL, 9) == 0) escaped("the semaphore outside was changed");
    }
    held("msgrcv and semctl: %s", strerror(errno));
}

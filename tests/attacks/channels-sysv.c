// SPDX-License-Identifier: Apache-2.0
// attack: leaves a word in a System V segment and in a POSIX queue, for the next build
// topic: channels
// stops: IPC namespace of its own
// reprove: held
// bwrap: held
// builds: after
#include "attack.h"
#include <mqueue.h>
#include <sys/shm.h>

int main(int count, char **arguments) {
    int sends = count > 1 && strcmp(arguments[1], "send") == 0, segment = shmget(0x62656570, 64, sends ? IPC_CREAT | 0666 : 0);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char *memory = segment < 0 ? (void *)-1 : shmat(segment, NULL, 0), text[64] = "";
    struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 64};
    mqd_t queue = mq_open("/reprove-attack", sends ? O_CREAT | O_RDWR | O_NONBLOCK : O_RDWR | O_NONBLOCK, 0666, &attributes);
    if (sends) {
        printf("sent: %ld\n", now.tv_nsec);
        snprintf(text, sizeof text, "%ld", now.tv_nsec);
        if (memory != (void *)-1) strcpy(memory, text);
        mq_send(queue, text, sizeof text, 0);
        held("the word is left");
    }
    if (memory != (void *)-1) escaped("received %s", memory);
    if (mq_receive(queue, text, sizeof text, NULL) > 0) escaped("received %s", text);
    held("there is no such segment, and no such queue: %s", strerror(errno));
}

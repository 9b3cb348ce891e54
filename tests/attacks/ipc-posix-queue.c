// SPDX-License-Identifier: Apache-2.0
// attack: takes a message out of a POSIX queue of the machine's
// topic: ipc
// stops: IPC namespace of its own
// reprove: held
// bwrap: held
#include "attack.h"
#include <mqueue.h>

int main(void) {
    char text[64];
    mqd_t queue = mq_open(bait("queue"), O_RDWR | O_NONBLOCK);
    if (queue == (mqd_t)-1) held("mq_open: %s", strerror(errno));
    ssize_t got = mq_receive(queue, text, sizeof text, NULL);
    const char *found = got < 0 ? NULL : secret_in(text, got);
    if (found) escaped("the queue outside: %s", found);
    held("the queue of that name is not the one outside");
}

// SPDX-License-Identifier: Apache-2.0
// attack: starts threads until no more can be started
// topic: exhaustion
// stops: control group for processes, and a resource limit
// reprove: held
// bwrap: escaped
// limits: processes=64 seconds=20
#include "attack.h"
#include <pthread.h>

static void *wait_for_ever(void *nothing) {
    for (;;) pause();
    return nothing;
}

int main(void) {
    int made = 0;
    for (; made < 400; made++) {
        pthread_t thread;
        pthread_attr_t small;
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, 65536);
        if (pthread_create(&thread, &small, wait_for_ever, NULL) != 0) break;
    }
    if (made == 400) escaped("400 threads run at once");
    held("after %d threads", made);
}

// SPDX-License-Identifier: Apache-2.0
// attack: stops and ends the first process, which is its parent (SIGSTOP, SIGKILL, SIGTERM)
// topic: signals
// stops: the first process of a namespace gets only what it asks for from its own
// reprove: held
// bwrap: held
// limits: seconds=10
#include "attack.h"

int main(void) {
    static const int numbers[] = {SIGSTOP, SIGTSTP, SIGTTIN, SIGKILL, SIGTERM, SIGINT, SIGSEGV, SIGABRT, SIGHUP, SIGUSR1, SIGPIPE};
    int sent = 0;
    for (int at = 0; at < 11; at++) sent += kill(1, numbers[at]) == 0;
    if (getppid() != 1 && getppid() != 0) for (int at = 0; at < 1; at++) sent += kill(getppid(), SIGUSR2 + 40) == 0;
    pause_ms(50);
    if (kill(1, 0) != 0 && errno == ESRCH) escaped("the first process is gone");
    held("%d signals were taken, and the first process goes on", sent);
}

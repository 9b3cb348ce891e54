// SPDX-License-Identifier: Apache-2.0
// attack: makes a program set-user-ID and set-group-ID, and runs it to be another user
// topic: set-id
// stops: no new privileges; mounts without set-ID
// reprove: held
// bwrap: held
#include "attack.h"

int main(int count, char **arguments) {
    if (count > 1 && strcmp(arguments[1], "check") == 0) {
        printf("%d %d\n", geteuid(), getegid());
        return geteuid() != getuid() || getegid() != getgid();
    }
    if (chown("attack", 0, 0) == 0 && getuid() != 0) escaped("a file was given to root");
    if (chmod("attack", 06755) != 0) held("chmod: %s", strerror(errno));
    char command[] = "./attack check";
    int status = system(command);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 1) escaped("it is another user by its own set-ID program");
    held("a set-ID program of its own runs as its own user");
}

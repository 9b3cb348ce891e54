// SPDX-License-Identifier: Apache-2.0
// attack: runs the machine's own set-user-ID programs (su, mount, passwd and all that it finds in /usr/bin)
// topic: set-id
// stops: no new privileges; /usr without set-ID
// reprove: held
// bwrap: held
#include "attack.h"
#include <dirent.h>

int main(void) {
    DIR *folder = opendir("/usr/bin");
    int found = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char path[512];
        struct stat status;
        snprintf(path, sizeof path, "/usr/bin/%s", entry->d_name);
        if (stat(path, &status) != 0 || !(status.st_mode & S_ISUID) || access(path, X_OK) != 0) continue;
        found++;
        pid_t child = fork();
        if (child == 0) {
            // Its user is read while it waits for what is never written.
            int ends[2];
            if (pipe(ends) != 0) _exit(1);
            dup2(ends[0], 0);
            execl(path, path, NULL);
            _exit(1);
        }
        pause_ms(30);
        char line[256], name[64];
        snprintf(name, sizeof name, "/proc/%d/status", child);
        FILE *file = fopen(name, "r");
        int user = -1, effective = -1;
        while (file && fgets(line, sizeof line, file)) sscanf(line, "Uid: %d %d", &user, &effective);
        if (file) fclose(file);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        if (user != effective) escaped("%s runs as another user", path);
    }
    held("%d set-user-ID programs run as whoever starts them", found);
}

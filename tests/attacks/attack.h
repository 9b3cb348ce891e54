// SPDX-License-Identifier: Apache-2.0
// What every attack starts from: the bait that was laid outside, and the one line that it ends with.
//
// `/inputs/bait` names what is outside, a `NAME=VALUE` a line; never the secret that is in each of those things. A secret is
// the word `bait:` and 16 hexadecimal digits: who prints one has been outside.
#ifndef ATTACK_H
#define ATTACK_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

__attribute__((unused)) static void last_line(const char *word, const char *format, va_list list) {
    char text[1024];
    int length = snprintf(text, 200, "%s: ", word);
    length += vsnprintf(text + length, sizeof text - length - 1, format, list);
    if (length > (int)sizeof text - 2) length = sizeof text - 2;
    text[length++] = '\n';
    fflush(stdout);
    if (write(1, text, length) != length) _exit(9);
    _exit(0);
}

// The wall stood: why, as far as one can tell from inside.
__attribute__((noreturn, format(printf, 1, 2), unused)) static void held(const char *format, ...) {
    va_list list;
    va_start(list, format);
    last_line("held", format, list);
    _exit(9);
}

// The wall fell: what was reached.
__attribute__((noreturn, format(printf, 1, 2), unused)) static void escaped(const char *format, ...) {
    va_list list;
    va_start(list, format);
    last_line("escaped", format, list);
    _exit(9);
}

// The attack itself can't be made: a fault of the suite, which its harness tells.
__attribute__((noreturn, unused)) static void broken(const char *what) {
    fprintf(stderr, "broken: %s: %s\n", what, strerror(errno));
    exit(9);
}

// What the bait file says of `name`.
__attribute__((unused)) static const char *bait(const char *name) {
    static char text[8192];
    if (!text[0]) {
        int file = open("/inputs/bait", O_RDONLY);
        ssize_t got = file < 0 ? -1 : read(file, text + 1, sizeof text - 2);
        if (got <= 0) broken("/inputs/bait");
        text[0] = '\n';
        close(file);
    }
    char wanted[64], *found;
    snprintf(wanted, sizeof wanted, "\n%s=", name);
    if (!(found = strstr(text, wanted))) broken(name);
    found += strlen(wanted);
    return strndup(found, strcspn(found, "\n"));
}

// A secret that is in these bytes, or nothing.
__attribute__((unused)) static const char *secret_in(const void *bytes, ssize_t length) {
    static char secret[22];
    for (const char *at = bytes; length >= 21; at++, length--) {
        if (memcmp(at, "bait:", 5) == 0 && strspn(at + 5, "0123456789abcdef") >= 16) {
            memcpy(secret, at, 21);
            return secret;
        }
    }
    return NULL;
}

// A secret in what can be read from a descriptor, or nothing.
__attribute__((unused)) static const char *secret_of(int descriptor) {
    char bytes[4096];
    ssize_t got = descriptor < 0 ? -1 : read(descriptor, bytes, sizeof bytes - 1);
    if (got <= 0) return NULL;
    bytes[got] = 0;
    return secret_in(bytes, got);
}

// A secret in a file, or nothing.
__attribute__((unused)) static const char *secret_at(const char *path) {
    int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    const char *found = secret_of(file);
    int kept = errno;
    if (file >= 0) close(file);
    errno = kept;
    return found;
}

// Writes text to a file; whether that was taken.
__attribute__((unused)) static int write_to(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return 0;
    int taken = write(file, text, strlen(text)) == (ssize_t)strlen(text);
    int kept = errno;
    close(file);
    errno = kept;
    return taken;
}

// What `tried` gives in a process of its own: 0 to 99, or 100 and the number of the signal that ended it.
__attribute__((unused)) static int apart(int (*tried)(void)) {
    fflush(stdout);
    pid_t child = fork();
    if (child < 0) broken("fork");
    if (child == 0) {
        alarm(20);
        _exit(tried());
    }
    int status;
    if (waitpid(child, &status, 0) != child) broken("waitpid");
    return WIFSIGNALED(status) ? 100 + WTERMSIG(status) : WEXITSTATUS(status);
}

// Waits as long as this.
__attribute__((unused)) static void pause_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&time, &time) != 0 && errno == EINTR) {}
}

// The address of a UNIX socket; a name that starts with `@` is an abstract one.
__attribute__((unused)) static socklen_t unix_address(struct sockaddr_un *address, const char *name) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    strncpy(address->sun_path, name, sizeof address->sun_path - 1);
    if (name[0] != '@') return sizeof *address;
    address->sun_path[0] = 0;
    return (socklen_t)(sizeof(sa_family_t) + strlen(name));
}

#endif

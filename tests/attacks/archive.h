// SPDX-License-Identifier: Apache-2.0
// Hostile source archives. A program with this header is no part of a build: the harness runs it with the bait's folder as
// its argument, and what it prints is the source of a build, whose step is the archive's file `attack`.
#ifndef ARCHIVE_H
#define ARCHIVE_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// One entry: its name, its type as tar has it, what it is a link to, its mode, what is in it.
static void entry(const char *name, char type, const char *target, int mode, const char *content) {
    char head[512] = "";
    size_t length = strlen(content);
    memccpy(head, name, 0, 100);
    snprintf(head + 100, 8, "%07o", mode);
    snprintf(head + 108, 8, "%07o", 0);
    snprintf(head + 116, 8, "%07o", 0);
    snprintf(head + 124, 12, "%011o", (unsigned)length);
    snprintf(head + 136, 12, "%011o", 1000000000);
    memset(head + 148, ' ', 8);
    head[156] = type;
    memccpy(head + 157, target, 0, 100);
    memcpy(head + 257, "ustar\00000", 8);
    snprintf(head + 329, 8, "%07o", 1);
    snprintf(head + 337, 8, "%07o", 5);
    unsigned sum = 0;
    for (int at = 0; at < 512; at++) sum += (unsigned char)head[at];
    snprintf(head + 148, 8, "%06o", sum);
    fwrite(head, 1, 512, stdout);
    fwrite(content, 1, length, stdout);
    for (; length % 512; length++) putchar(0);
}

// The archive's top folder, and the script that is the build's step.
static void begin(const char *script) {
    entry("top/", '5', "", 0755, "");
    entry("top/attack", '0', "", 0755, script);
}

__attribute__((noreturn)) static void end(void) {
    for (int at = 0; at < 1024; at++) putchar(0);
    exit(fflush(stdout) == 0 ? 0 : 9);
}

// The path of something in the bait's folder.
__attribute__((unused)) static const char *outside(char **arguments, const char *before, const char *name) {
    static char path[512];
    snprintf(path, sizeof path, "%s%s/%s", before, arguments[1], name);
    return path;
}

#define PLANT "#!/bin/sh\necho 'held: the archive was unpacked, and nothing left it'\n"
#endif

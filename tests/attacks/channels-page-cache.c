// SPDX-License-Identifier: Apache-2.0
// attack: tells from the page cache which of the machine's files others have read (mincore, cachestat, preadv2 without waiting)
// topic: channels
// stops: nothing: the cache is the machine's
// reprove: escaped
// bwrap: escaped
// note: can't be closed but by a file system of the build's own; reveals reading, not content
#include "attack.h"

int main(void) {
    int file = open("/usr/bin/sh", O_RDONLY);
    struct stat status;
    unsigned char pages[4096];
    if (file < 0 || fstat(file, &status) != 0) broken("/usr/bin/sh");
    char byte;
    struct iovec part = {&byte, 1};
    if (preadv2(file, &part, 1, 0, 8 /* RWF_NOWAIT */) == 1) escaped("a page of /usr/bin/sh is in the cache, as a read without waiting tells");
    void *memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    if (memory != MAP_FAILED && mincore(memory, 4096, pages) == 0 && pages[0] & 1) escaped("mincore tells what is in the cache");
    held("nothing tells what is in the cache: %s", strerror(errno));
}

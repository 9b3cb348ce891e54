// SPDX-License-Identifier: Apache-2.0
//! A source whose build asks for files in many ways.

/// Its files.
pub(crate) const FILES: &[(&str, &str)] = &[
    ("Makefile", MAKEFILE),
    ("main.c", "#include <stdio.h>\n#include \"x.h\"\nint main(){puts(X);}\n"),
    ("inc/x.h", "#define X \"x\"\n"),
    ("inc/deep/data", "data\n"),
    ("ways.c", WAYS),
    ("ways.py", PYTHON),
    ("outer", "#!/build/source/inner\n"),
    ("inner", "#!/bin/sh\necho inner \"$@\"\n"),
];

/// Builds all of it.
pub(crate) const SCRIPT: &str = "make -s -j2; ./outer; /usr/bin/python3 ways.py; ./out/ways; ./out/static; \
     cd inc; cat deep/data ../none/../inc/x.h || true; cd ..; ln -s inc linked; cat linked/x.h; \
     mv out/p out/q; ./out/q; find . -name nothing; cp -r inc copied; rm -r copied; \
     (cd /usr/lib && ls -d gcc); test -e /nothing/at/all || true";

const MAKEFILE: &str = "all: out/p out/ways out/static
out/p: main.c
\tmkdir -p out; gcc -Inone -Iinc -o $@ main.c
out/ways: ways.c
\tmkdir -p out; gcc -pthread -o $@ ways.c
out/static: ways.c
\tmkdir -p out; gcc -static -pthread -DSTATIC -o $@ ways.c
";

/// Opens and executes by every call that there is, from threads too.
const WAYS: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static void *thread(void *number) {
    char name[64];
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "inc/./thread-%ld-%d", (long)number, i);
        close(open(name, O_RDONLY));
    }
    return 0;
}

int main(void) {
    char buffer[64];
    struct stat st;
    struct open_how how = {.flags = O_RDONLY};
    int inc = open("inc", O_RDONLY | O_DIRECTORY), deep = openat(inc, "deep", O_PATH);
    close(openat(deep, "data", O_RDONLY));
    close(syscall(SYS_openat2, deep, "../x.h", &how, sizeof how));
    close(syscall(SYS_open, "inc//x.h", O_RDONLY));
    close(syscall(SYS_creat, "out/created", 0600));
    syscall(SYS_stat, "inc/by-stat", &st);
    syscall(SYS_lstat, "inc/by-lstat", &st);
    syscall(SYS_access, "inc/by-access", R_OK);
    faccessat(inc, "by-faccessat", R_OK, AT_EACCESS);
    fstatat(inc, "by-fstatat", &st, AT_SYMLINK_NOFOLLOW);
    statx(inc, "by-statx", 0, STATX_SIZE, &(struct statx){0});
    readlinkat(inc, "by-readlinkat", buffer, sizeof buffer);
    getxattr("inc/by-getxattr", "user.x", buffer, sizeof buffer);
    pthread_t threads[4];
    for (long n = 0; n < 4; n++) pthread_create(&threads[n], 0, thread, (void *)n);
    for (int n = 0; n < 4; n++) pthread_join(threads[n], 0);
#ifndef STATIC
    dlopen("libm.so.6", RTLD_NOW);
    dlopen("/build/source/inc/none.so", RTLD_NOW);
#endif
    if (fork() == 0) {
        int program = open("/usr/bin/true", O_PATH | O_CLOEXEC);
        char *argv[] = {"true", 0}, *env[] = {0};
        syscall(SYS_execveat, program, "", argv, env, AT_EMPTY_PATH);
        _exit(9);
    }
    wait(0);
    fchdir(deep);
    close(open("after-fchdir", O_RDONLY));
    chdir("..");
    close(open("after-chdir", O_RDONLY));
    if (vfork() == 0) {
        execl("./no-program", "no-program", (char *)0);
        execl("/usr/bin/true", "true", (char *)0);
        _exit(9);
    }
    wait(0);
    return 0;
}
"#;

const PYTHON: &str = r#"
import ctypes, json, os, subprocess, threading, zipfile
os.listdir("inc")
os.makedirs("out/py", exist_ok=True)
compile(open("ways.py").read(), "ways.py", "exec")
ctypes.CDLL("libz.so.1", use_errno=True) if os.path.exists("/usr/lib/x86_64-linux-gnu/libz.so.1") else None
def look(n):
    for i in range(50):
        os.path.exists(f"inc/python-{n}-{i}")
threads = [threading.Thread(target=look, args=(n,)) for n in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
subprocess.run(["true"], check=True)
with zipfile.ZipFile("out/py/a.zip", "w") as z:
    z.write("inc/x.h")
os.chmod("out/py/a.zip", 0o600); os.utime("out/py/a.zip", (0, 0)); os.rename("out/py/a.zip", "out/py/b.zip")
"#;

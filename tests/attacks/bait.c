// SPDX-License-Identifier: Apache-2.0
// bait FOLDER terminal|no-terminal PROGRAM [ARGUMENT]...
//
// Lays out things that a build must not reach, runs the program, then looks whether each is as it was. The names of the
// things are in FOLDER/bait; each holds a secret of this run. What has changed is in FOLDER/outside, a line each, and after
// that `done`. The program inherits descriptor 7, the canary open for writing, and 8, FOLDER; for `terminal` also a
// controlling terminal as its standard input.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

// What the processes of the bait tell each other.
struct shared {
    volatile long beats;
    volatile int signals, memory_changed, listening;
    volatile int reached[4];
};
static const char *const listeners[4] = {"abstract socket", "path socket", "TCP port", "UDP port"};

static char secret[64];
static char folder[96];
static FILE *outside;
static struct shared *shared;

// What stays after a process that ends without taking it away.
static int shm = -1, sem = -1, msg = -1;
static char queue_name[64];
static void take_away(void) {
    if (shm >= 0) shmctl(shm, IPC_RMID, NULL);
    if (sem >= 0) semctl(sem, 0, IPC_RMID);
    if (msg >= 0) msgctl(msg, IPC_RMID, NULL);
    if (*queue_name) mq_unlink(queue_name);
}

static void stop(const char *what) {
    fprintf(stderr, "bait: %s: %s\n", what, strerror(errno));
    take_away();
    exit(9);
}

static void changed(const char *format, ...) {
    va_list list;
    va_start(list, format);
    vfprintf(outside, format, list);
    fputc('\n', outside);
    va_end(list);
}

static char *in_folder(const char *name) {
    char *path;
    if (asprintf(&path, "%s/%s", folder, name) < 0) stop("memory");
    return path;
}

static void sleep_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

// A process of the same user, with the secret in its memory, its environment and a file that it holds open.
static char victims_memory[64];
static void count(int number) {
    (void)number;
    shared->signals++;
}

static int victim(int map) {
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
    if (shared == MAP_FAILED) return 9;
    const char *given = getenv("BAIT_SECRET");
    snprintf(victims_memory, sizeof victims_memory, "%s", given);
    char copy[64];
    memcpy(copy, victims_memory, sizeof copy);
    for (int number = 1; number < SIGRTMAX; number++) {
        if (number != SIGTERM) signal(number, count);
    }
    for (;;) {
        shared->beats++;
        if (memcmp(copy, victims_memory, sizeof copy) != 0) shared->memory_changed = 1;
        sleep_ms(10);
    }
}

static pid_t start_victim(int map) {
    pid_t child = fork();
    if (child != 0) return child;
    signal(SIGTERM, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char variable[128];
    snprintf(variable, sizeof variable, "BAIT_SECRET=%s", secret);
    int canary = open(in_folder("canary"), O_RDWR);
    if (dup2(map, 3) != 3 || dup2(canary, 4) != 4) _exit(9);
    execle("/proc/self/exe", "victim", NULL, (char *[]){variable, NULL});
    _exit(9);
}

static int bound(int family, int type, const void *address, socklen_t length) {
    int socket_ = socket(family, type | SOCK_CLOEXEC, 0);
    if (socket_ < 0 || bind(socket_, address, length) != 0) stop("a socket");
    if (type == SOCK_STREAM && listen(socket_, 16) != 0) stop("listening");
    return socket_;
}

static int port_of(int socket_) {
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    if (getsockname(socket_, (void *)&address, &length) != 0) stop("a port");
    return ntohs(address.sin_port);
}

// Answers whoever comes with the secret, and counts them.
static void serve(struct pollfd *sockets) {
    signal(SIGTERM, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    shared->listening = 1;
    for (;;) {
        if (poll(sockets, 4, -1) <= 0) continue;
        for (int at = 0; at < 4; at++) {
            if (!(sockets[at].revents & POLLIN)) continue;
            shared->reached[at]++;
            if (at == 3) {
                struct sockaddr_in from;
                socklen_t length = sizeof from;
                char byte[64];
                recvfrom(sockets[at].fd, byte, sizeof byte, 0, (void *)&from, &length);
                sendto(sockets[at].fd, secret, strlen(secret), 0, (void *)&from, length);
                continue;
            }
            int one = accept(sockets[at].fd, NULL, NULL);
            send(one, secret, strlen(secret), MSG_NOSIGNAL);
            close(one);
        }
    }
}

static long keyctl(int what, long a, long b, long c, long d) { return syscall(SYS_keyctl, what, a, b, c, d); }
static long add_key(const char *name, long ring) {
    return syscall(SYS_add_key, "user", name, secret, strlen(secret), ring);
}
static int key_is_whole(long key) {
    char text[64] = "";
    return keyctl(11 /* READ */, key, (long)text, sizeof text - 1, 0) == (long)strlen(secret) && !strcmp(text, secret);
}

static char *all_of(const char *path) {
    static const size_t most = 1 << 20;
    char *text = calloc(1, most);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    ssize_t got;
    while (file >= 0 && length < most - 1 && (got = read(file, text + length, most - 1 - length)) > 0) length += got;
    close(file);
    return text;
}

static double clock_difference(void) {
    struct timespec real, steady;
    clock_gettime(CLOCK_REALTIME, &real);
    clock_gettime(CLOCK_MONOTONIC, &steady);
    return (double)(real.tv_sec - steady.tv_sec) + (real.tv_nsec - steady.tv_nsec) / 1e9;
}

// A terminal, and the process that has it as its controlling one; that lives until `over` is closed.
static int terminal = -1;
static pid_t start(char **command, int has_terminal, int status_to, int over, int not_mine) {
    pid_t child_ = fork();
    if (child_ != 0) return child_;
    close(not_mine);
    signal(SIGTERM, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setsid();
    if (has_terminal) {
        int slave = open(ptsname(terminal), O_RDWR);
        if (slave < 0 || dup2(slave, 0) != 0) _exit(9);
    }
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int canary = open(in_folder("canary"), O_RDWR), directory = open(folder, O_RDONLY | O_DIRECTORY);
        if (dup2(canary, 7) != 7 || dup2(directory, 8) != 8) _exit(9);
        execvp(command[0], command);
        _exit(9);
    }
    signal(SIGTTOU, SIG_IGN);
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    if (write(status_to, &status, sizeof status) != sizeof status) _exit(9);
    char byte;
    while (read(over, &byte, 1) < 0 && errno == EINTR) {}
    _exit(0);
}

// Told to give up, as when its parent has ended, it ends what it has started, and goes on to look at what is outside.
static pid_t leader;
static void give_up(int number) {
    (void)number;
    if (leader > 0) {
        kill(leader, SIGKILL);
        return;
    }
    take_away();
    _exit(9);
}

static int open_terminal(void) {
    terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0) stop("a terminal");
    int slave = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    struct termios raw;
    if (slave < 0 || tcgetattr(slave, &raw) != 0) stop("the terminal's other side");
    cfmakeraw(&raw);
    tcsetattr(slave, TCSANOW, &raw);
    return slave;
}

static void check_processes(pid_t victim_, pid_t server) {
    long before = shared->beats;
    for (int waited = 0; waited < 200 && shared->beats == before; waited++) sleep_ms(10);
    if (shared->beats == before) changed("the process outside was stopped or ended");
    if (shared->signals) changed("the process outside got %d signals", shared->signals);
    if (shared->memory_changed) changed("the memory of the process outside was changed");
    for (int at = 0; at < 4; at++) {
        if (shared->reached[at]) changed("the %s outside was reached", listeners[at]);
    }
    kill(victim_, SIGKILL);
    kill(server, SIGKILL);
    waitpid(victim_, NULL, 0);
    waitpid(server, NULL, 0);
}

// Whatever a run leaves behind becomes this process's child.
static void check_orphans(void) {
    for (int waited = 0; waited < 200; waited++) {
        pid_t child = waitpid(-1, NULL, WNOHANG);
        if (child < 0) return;
        if (child == 0) sleep_ms(10);
    }
    changed("a process was left behind");
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    for (char *at = all_of(path), *end; *at; at = end) {
        long child = strtol(at, &end, 10);
        if (end == at) return;
        if (child > 1) kill((pid_t)child, SIGKILL);
    }
}

int main(int count_, char **arguments) {
    if (!strcmp(arguments[0], "victim")) return victim(3);
    if (count_ < 4) return 9;
    int has_terminal = !strcmp(arguments[2], "terminal");
    snprintf(folder, sizeof folder, "%s", arguments[1]);
    signal(SIGTERM, give_up);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    umask(022);
    unsigned char random[8];
    if (getrandom(random, sizeof random, 0) != sizeof random) stop("random bytes");
    strcpy(secret, "bait:");
    for (int at = 0; at < 8; at++) snprintf(secret + 5 + 2 * at, 3, "%02x", random[at]);

    int canary = open(in_folder("canary"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (canary < 0 || write(canary, secret, strlen(secret)) < 0) stop("the canary");
    int private = open(in_folder("secret"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (private < 0 || write(private, secret, strlen(secret)) < 0) stop("the secret");
    close(private);
    struct stat before, after;
    fstat(canary, &before);

    if (keyctl(1 /* JOIN_SESSION_KEYRING */, 0, 0, 0, 0) < 0) stop("a session keyring");
    char key_name[64];
    snprintf(key_name, sizeof key_name, "reprove-bait-%d", getpid());
    char user_key_name[80];
    snprintf(user_key_name, sizeof user_key_name, "%s-user", key_name);
    // The user keyring is to be reached through the session's, as a login does it.
    keyctl(8 /* LINK */, -4, -3, 0, 0);
    long session_key = add_key(key_name, -3), user_key = add_key(user_key_name, -4);
    if (session_key < 0 || user_key < 0) stop("keys");
    // All that a user's permissions can give, so that nothing but the wall is in the way.
    keyctl(5 /* SETPERM */, user_key, 0x3f3f0000, 0, 0);
    keyctl(5 /* SETPERM */, session_key, 0x3f3f0000, 0, 0);

    // By chance, and not by the process's number: one that was killed may have left its own, and its number is free again.
    int shm_key;
    if (getrandom(&shm_key, sizeof shm_key, 0) != sizeof shm_key) stop("a key's number");
    shm_key = (shm_key & 0x7fffffff) | 1;
    shm = shmget(shm_key, 4096, IPC_CREAT | IPC_EXCL | 0666);
    sem = semget(shm_key, 1, IPC_CREAT | IPC_EXCL | 0666);
    msg = msgget(shm_key, IPC_CREAT | IPC_EXCL | 0666);
    struct { long type; char text[64]; } message = {1, ""};
    strcpy(message.text, secret);
    if (shm < 0 || sem < 0 || msg < 0) stop("System V objects");
    char *attached = shmat(shm, NULL, 0);
    if (attached == (void *)-1) stop("System V shared memory");
    strcpy(attached, secret);
    shmdt(attached);
    semctl(sem, 0, SETVAL, 7);
    if (msgsnd(msg, &message, sizeof message.text, 0) != 0) stop("a message");
    snprintf(queue_name, sizeof queue_name, "/reprove-bait-%d-%08x", getpid(), (unsigned)shm_key);
    umask(0);
    struct mq_attr attributes = {.mq_maxmsg = 4, .mq_msgsize = 64};
    mqd_t queue = mq_open(queue_name, O_CREAT | O_EXCL | O_RDWR | O_NONBLOCK | O_CLOEXEC, 0666, &attributes);
    if (queue == (mqd_t)-1 || mq_send(queue, secret, strlen(secret), 1) != 0) stop("a message queue");

    struct sockaddr_un abstract = {.sun_family = AF_UNIX}, path = {.sun_family = AF_UNIX};
    char name[64];
    snprintf(name, sizeof name, "reprove-bait-%d", getpid());
    strcpy(abstract.sun_path + 1, name);
    snprintf(path.sun_path, sizeof path.sun_path, "%s/socket", folder);
    struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct pollfd sockets[4] = {
        {bound(AF_UNIX, SOCK_STREAM, &abstract, sizeof(sa_family_t) + 1 + strlen(name)), POLLIN, 0},
        {bound(AF_UNIX, SOCK_STREAM, &path, sizeof path), POLLIN, 0},
        {bound(AF_INET, SOCK_STREAM, &loopback, sizeof loopback), POLLIN, 0},
        {bound(AF_INET, SOCK_DGRAM, &loopback, sizeof loopback), POLLIN, 0},
    };
    umask(022);

    int map = memfd_create("bait", MFD_CLOEXEC);
    if (map < 0 || ftruncate(map, 4096) != 0) stop("shared memory");
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
    pid_t server = fork();
    if (server == 0) serve(sockets);
    pid_t victim_ = start_victim(map);
    for (int waited = 0; waited < 500 && !(shared->beats > 0 && shared->listening); waited++) sleep_ms(10);
    if (shared->beats == 0 || !shared->listening) stop("the process outside");

    int slave = has_terminal ? open_terminal() : -1;
    FILE *list = fopen(in_folder("bait"), "we");
    fprintf(list, "folder=%s\npid=%d\nrunner=%d\nkey=%s\nuser_key=%s\nkey_number=%ld\nuser_key_number=%ld\n", folder,
            victim_, getpid(), key_name, user_key_name, session_key, user_key);
    fprintf(list, "ipc=%d\nshm=%d\nsem=%d\nmsg=%d\nqueue=%s\nabstract=@%s\npath=%s/socket\ntcp=%d\nudp=%d\n", shm_key,
            shm, sem, msg, queue_name, name, folder, port_of(sockets[2].fd), port_of(sockets[3].fd));
    fprintf(list, "canary=%s/canary\nterminal=%s\n", folder, has_terminal ? ptsname(terminal) : "/dev/null");
    if (fclose(list) != 0 || chmod(in_folder("bait"), 0644) != 0) stop("the list of bait");
    char *mounts = all_of("/proc/self/mountinfo");
    char host[256] = "", host_now[256] = "";
    gethostname(host, sizeof host - 1);
    double clock_before = clock_difference();

    int status_pipe[2], over_pipe[2], status = -1;
    if (pipe2(status_pipe, O_CLOEXEC) != 0 || pipe2(over_pipe, O_CLOEXEC) != 0) stop("pipes");
    leader = start(arguments + 3, has_terminal, status_pipe[1], over_pipe[0], over_pipe[1]);
    close(status_pipe[1]);
    close(over_pipe[0]);
    ssize_t got;
    while ((got = read(status_pipe[0], &status, sizeof status)) < 0 && errno == EINTR) {}

    outside = fopen(in_folder("outside"), "we");
    char text[128] = "";
    if (has_terminal && read(slave, text, sizeof text - 1) > 0) changed("the terminal outside was given the input %s", text);
    close(over_pipe[1]);
    waitpid(leader, NULL, 0);
    check_processes(victim_, server);
    check_orphans();
    fstat(canary, &after);
    memset(text, 0, sizeof text);
    if (pread(canary, text, sizeof text - 1, 0) < 0 || strcmp(text, secret) || before.st_mtim.tv_nsec != after.st_mtim.tv_nsec
        || before.st_mode != after.st_mode || before.st_nlink != after.st_nlink || before.st_uid != after.st_uid)
        changed("the canary was changed");
    if (!key_is_whole(session_key)) changed("the caller's session key was changed");
    if (!key_is_whole(user_key)) changed("the caller's user key was changed");
    if (keyctl(10 /* SEARCH */, -4, (long)"user", (long)"planted", 0) > 0) changed("a key was left in the user keyring");
    if (keyctl(10, -3, (long)"user", (long)"planted", 0) > 0) changed("a key was left in the session keyring");
    struct shmid_ds segment;
    struct msqid_ds messages;
    struct mq_attr queued;
    if (shmctl(shm, IPC_STAT, &segment) != 0 || segment.shm_lpid != getpid()) changed("the shared memory was attached");
    if (semctl(sem, 0, GETVAL) != 7) changed("the semaphore was changed");
    if (msgctl(msg, IPC_STAT, &messages) != 0 || messages.msg_qnum != 1) changed("the message queue was changed");
    if (mq_getattr(queue, &queued) != 0 || queued.mq_curmsgs != 1) changed("the POSIX message queue was changed");
    if (strcmp(mounts, all_of("/proc/self/mountinfo"))) changed("the mounts outside are others");
    gethostname(host_now, sizeof host_now - 1);
    if (strcmp(host, host_now)) changed("the host name outside was changed");
    double moved = clock_difference() - clock_before;
    if (moved > 1 || moved < -1) changed("the clock outside was moved by %f s", moved);

    take_away();
    keyctl(3 /* REVOKE */, session_key, 0, 0, 0);
    keyctl(9 /* UNLINK */, user_key, -4, 0, 0);
    fprintf(outside, "done\n");
    fclose(outside);
    if (got != sizeof status || !WIFEXITED(status)) return 9;
    return WEXITSTATUS(status);
}

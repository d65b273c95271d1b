/* Loaded before libc (LD_PRELOAD), so that calls that change files can be counted and made to fail.

   `fault_arm` chooses what happens at the n-th such call on files below a folder: the process is killed
   before, in the midst of, or after it, or the call fails, once or from then on. `fault_clock` moves
   the clock. Until then all calls go through. Driven from Python by tests/durability/faults.py. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { NOTHING, KILL_BEFORE, KILL_WITHIN, KILL_AFTER, FAIL_ONCE, FAIL_ALWAYS };

static int action, error_number, reads_too;
static long at, count;
static long long clock_offset;
static char below[4096];

void fault_arm(int action_, long at_, int error_number_, int reads_too_, const char *below_) {
    strncpy(below, below_, sizeof below - 1);
    error_number = error_number_, reads_too = reads_too_, at = at_, action = action_;
    __atomic_store_n(&count, 0, __ATOMIC_SEQ_CST);
}
long fault_count(void) { return count; }
void fault_clock(long long seconds) { clock_offset = seconds; }

static int is_below(const char *path) { return below[0] && !strncmp(path, below, strlen(below)); }

static int is_file_below(int fd) {
    char link[64], path[4096];
    if (!below[0] || fd < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

/* What is to happen at this call: NOTHING, or the action; kills before happen at once. */
static int due(int counts) {
    if (!counts) return NOTHING;
    long number = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
    if (number == at && action == KILL_BEFORE) kill(getpid(), SIGKILL);
    if (number == at || (number > at && at > 0 && action == FAIL_ALWAYS)) return action;
    return NOTHING;
}

static int fails(int what) {
    if (what != FAIL_ONCE && what != FAIL_ALWAYS) return 0;
    errno = error_number;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* A call that is done or not done at all. */
#define WHOLE(type, failed, name, counts, parameters, ...)          \
    type name parameters {                                          \
        static __typeof__(&name) real;                              \
        if (!real) real = REAL(name);                               \
        int what = due(counts);                                     \
        if (fails(what)) return failed;                             \
        type result = real(__VA_ARGS__);                            \
        if (what >= KILL_BEFORE && what <= KILL_AFTER) kill(getpid(), SIGKILL); \
        return result;                                              \
    }

/* A write, which may also be done by half. */
#define WRITE(name, counts, length, half, parameters, ...)          \
    ssize_t name parameters {                                       \
        static __typeof__(&name) real;                              \
        if (!real) real = REAL(name);                               \
        int what = due(counts);                                     \
        if (fails(what)) return -1;                                 \
        if (what == KILL_WITHIN) { real half; kill(getpid(), SIGKILL); } \
        ssize_t result = real(__VA_ARGS__);                         \
        if (what == KILL_AFTER) kill(getpid(), SIGKILL);            \
        return result;                                              \
    }

WRITE(write, is_file_below(fd), n, (fd, b, n / 2), (int fd, const void *b, size_t n), fd, b, n)
WRITE(pwrite, is_file_below(fd), n, (fd, b, n / 2, o), (int fd, const void *b, size_t n, off_t o), fd, b, n, o)
WRITE(pwrite64, is_file_below(fd), n, (fd, b, n / 2, o), (int fd, const void *b, size_t n, off64_t o), fd, b, n, o)

size_t fwrite(const void *b, size_t size, size_t n, FILE *f) {
    static __typeof__(&fwrite) real;
    if (!real) real = REAL(fwrite);
    int what = below[0] ? due(is_file_below(fileno(f))) : NOTHING;
    if (fails(what)) return 0;
    if (what == KILL_WITHIN) { real(b, size, n / 2, f); fflush(f); kill(getpid(), SIGKILL); }
    size_t result = real(b, size, n, f);
    if (what == KILL_AFTER) kill(getpid(), SIGKILL);
    return result;
}

WHOLE(ssize_t, -1, read, reads_too && is_file_below(fd), (int fd, void *b, size_t n), fd, b, n)
WHOLE(ssize_t, -1, pread, reads_too && is_file_below(fd), (int fd, void *b, size_t n, off_t o), fd, b, n, o)
WHOLE(ssize_t, -1, pread64, reads_too && is_file_below(fd), (int fd, void *b, size_t n, off64_t o), fd, b, n, o)
WHOLE(int, -1, ftruncate, is_file_below(fd), (int fd, off_t n), fd, n)
WHOLE(int, -1, ftruncate64, is_file_below(fd), (int fd, off64_t n), fd, n)
WHOLE(int, -1, fsync, is_file_below(fd), (int fd), fd)
WHOLE(int, -1, fdatasync, is_file_below(fd), (int fd), fd)
WHOLE(int, -1, rename, is_below(to), (const char *from, const char *to), from, to)
WHOLE(int, -1, link, is_below(to), (const char *from, const char *to), from, to)
WHOLE(int, -1, unlink, is_below(path), (const char *path), path)
WHOLE(int, -1, mkdir, is_below(path), (const char *path, mode_t mode), path, mode)
WHOLE(int, error_number, posix_fallocate, is_file_below(fd), (int fd, off_t o, off_t n), fd, o, n)
WHOLE(int, error_number, posix_fallocate64, is_file_below(fd), (int fd, off64_t o, off64_t n), fd, o, n)

/* Opening counts where it may make a file. */
#define OPEN(name)                                                  \
    int name(const char *path, int flags, ...) {                    \
        static int (*real)(const char *, int, ...);                 \
        if (!real) real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name); \
        va_list list;                                               \
        va_start(list, flags);                                      \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, mode_t) : 0; \
        va_end(list);                                               \
        int what = due((flags & O_CREAT) && is_below(path));        \
        if (fails(what)) return -1;                                 \
        int result = real(path, flags, mode);                       \
        if (what >= KILL_BEFORE && what <= KILL_AFTER) kill(getpid(), SIGKILL); \
        return result;                                              \
    }
OPEN(open)
OPEN(open64)

int clock_gettime(clockid_t which, struct timespec *now) {
    static __typeof__(&clock_gettime) real;
    if (!real) real = REAL(clock_gettime);
    int result = real(which, now);
    if (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE) now->tv_sec += clock_offset;
    return result;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    static int (*real)(struct timeval *restrict, void *restrict);
    if (!real) real = (int (*)(struct timeval *restrict, void *restrict))dlsym(RTLD_NEXT, "gettimeofday");
    int result = real(now, zone);
    now->tv_sec += clock_offset;
    return result;
}
time_t time(time_t *now) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (now) *now = precise.tv_sec;
    return precise.tv_sec;
}

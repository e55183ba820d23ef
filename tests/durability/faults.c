/* A bad disk, for one process: preloaded, it fails chosen calls on the files below one directory.
 *
 * FAULTS_UNDER names the directory, FAULTS_CONTROL a file that holds a `struct control`, which both sides
 * map into memory: so the test counts calls, and sets and lifts faults, while the process runs.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NONE, SYNC_EIO, WRITE_ENOSPC, WRITE_SHORT, KILL };

struct control {
    _Atomic int64_t writes; /* calls so far, failed ones included */
    _Atomic int64_t syncs;
    _Atomic int64_t kind;
    _Atomic int64_t from; /* the calls of that kind that fail: from <= number < until, counted from 1 */
    _Atomic int64_t until;
    _Atomic int64_t failed; /* how many did */
};

static struct control *control;
static char under[4096];
static size_t under_length;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULTS_CONTROL"), *directory = getenv("FAULTS_UNDER");
    if (!path || !directory) return;
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) return;
    under_length = strlen(directory);
    if (under_length >= sizeof under) return;
    memcpy(under, directory, under_length + 1);
    control = mapped;
}

static int ours(int file) {
    if (!control) return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= (ssize_t)under_length) return 0;
    return memcmp(path, under, under_length) == 0 && path[under_length] == '/';
}

/* Whether this call is to fail, and how. */
static int64_t fate(int file, int sync) {
    int saved = errno;
    int is_ours = ours(file);
    errno = saved;
    if (!is_ours) return NONE;
    int64_t number = 1 + atomic_fetch_add(sync ? &control->syncs : &control->writes, 1);
    int64_t kind = control->kind;
    if (kind == NONE) return NONE;
    if (kind == KILL) number = control->syncs + control->writes;
    else if (sync != (kind == SYNC_EIO)) return NONE;
    if (number < control->from || number >= control->until) return NONE;
    control->failed++;
    if (kind == KILL) raise(SIGKILL);
    return kind;
}

#define REAL(name, type) \
    static type real; \
    if (!real) real = (type)dlsym(RTLD_NEXT, name)

typedef int (*sync_function)(int);
typedef ssize_t (*write_function)(int, const void *, size_t);
typedef ssize_t (*pwrite_function)(int, const void *, size_t, off_t);
typedef ssize_t (*writev_function)(int, const struct iovec *, int);

int fsync(int file) {
    REAL("fsync", sync_function);
    if (fate(file, 1) == SYNC_EIO) return errno = EIO, -1;
    return real(file);
}

int fdatasync(int file) {
    REAL("fdatasync", sync_function);
    if (fate(file, 1) == SYNC_EIO) return errno = EIO, -1;
    return real(file);
}

ssize_t write(int file, const void *data, size_t size) {
    REAL("write", write_function);
    switch (fate(file, 0)) {
    case WRITE_ENOSPC: return errno = ENOSPC, -1;
    case WRITE_SHORT: return real(file, data, size > 1 ? size / 2 : size);
    default: return real(file, data, size);
    }
}

static ssize_t pwrite_with(pwrite_function real, int file, const void *data, size_t size, off_t offset) {
    switch (fate(file, 0)) {
    case WRITE_ENOSPC: return errno = ENOSPC, -1;
    case WRITE_SHORT: return real(file, data, size > 1 ? size / 2 : size, offset);
    default: return real(file, data, size, offset);
    }
}

ssize_t pwrite(int file, const void *data, size_t size, off_t offset) {
    REAL("pwrite", pwrite_function);
    return pwrite_with(real, file, data, size, offset);
}

ssize_t pwrite64(int file, const void *data, size_t size, off_t offset) {
    REAL("pwrite64", pwrite_function);
    return pwrite_with(real, file, data, size, offset);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    REAL("writev", writev_function);
    switch (fate(file, 0)) {
    case WRITE_ENOSPC: return errno = ENOSPC, -1;
    case WRITE_SHORT: return real(file, parts, count > 1 ? count / 2 : count);
    default: return real(file, parts, count);
    }
}

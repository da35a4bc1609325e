/* atomic_file.c: write beside the file, wait for the disk, rename over it, wait for the folder. */
#define _POSIX_C_SOURCE 200809L /* fsync, fileno */
#include "atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int failed(const aside *a) {
    fprintf(stderr, "%s could not be written: %s; what it was before is whole\n", a->path, strerror(errno));
    return 0;
}

int aside_open(aside *a, const char *path) {
    const int length = snprintf(a->path, sizeof a->path, "%s", path);
    (void)snprintf(a->part, sizeof a->part, "%s.part", a->path);
    a->file = NULL;
    if ((size_t)length >= sizeof a->path)
        errno = ENAMETOOLONG;
    else
        a->file = fopen(a->part, "wb");
    return a->file != NULL || failed(a);
}

/* Else a crash of the machine might undo the rename. */
static int sync_folder(const char *path) {
    char folder[1024] = ".";
    const char *end = strrchr(path, '/');
    if (end) (void)snprintf(folder, sizeof folder, "%.*s", end == path ? 1 : (int)(end - path), path);
    const int descriptor = open(folder, O_RDONLY);
    if (descriptor < 0) return 0;
    const int ok =
        fsync(descriptor) == 0 || errno == EINVAL; /* a file system that cannot: nothing more to do */
    (void)close(descriptor);
    return ok;
}

int aside_close(aside *a) {
    int ok = !ferror(a->file) && fflush(a->file) == 0 && fsync(fileno(a->file)) == 0;
    const int reason = errno ? errno : EIO;
    if (fclose(a->file) != 0 && ok)
        ok = 0;
    else
        errno = reason;
    if (ok && rename(a->part, a->path) == 0) return sync_folder(a->path) || failed(a);
    (void)failed(a);
    (void)remove(a->part);
    return 0;
}

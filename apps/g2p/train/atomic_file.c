/* atomic_file.c: write beside the file, wait for the disk, rename over it, wait for the folder. */
#define _POSIX_C_SOURCE 200809L /* fsync, fileno */
#include "atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int failed(const atomic_file *output) {
    fprintf(stderr, "%s could not be written: %s; what it was before is whole\n", output->path,
            strerror(errno));
    return 0;
}

int atomic_file_open(atomic_file *output, const char *path) {
    const int length = snprintf(output->path, sizeof output->path, "%s", path);
    (void)snprintf(output->part, sizeof output->part, "%s.part", output->path);
    output->file = NULL;
    if ((size_t)length >= sizeof output->path)
        errno = ENAMETOOLONG;
    else
        output->file = fopen(output->part, "wb");
    return output->file != NULL || failed(output);
}

/* Otherwise a crash of the host might undo the rename. */
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

int atomic_file_close(atomic_file *output) {
    int ok = !ferror(output->file) && fflush(output->file) == 0 && fsync(fileno(output->file)) == 0;
    const int reason = errno ? errno : EIO;
    if (fclose(output->file) != 0 && ok)
        ok = 0;
    else
        errno = reason;
    if (ok && rename(output->part, output->path) == 0) return sync_folder(output->path) || failed(output);
    (void)failed(output);
    (void)remove(output->part);
    return 0;
}

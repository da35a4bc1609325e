/* replace_file.c: writes a temporary file beside the old one and renames it.
 *
 * A temporary file is locked as long as its writer lives. One that can be locked was left by a writer that was killed, and is
 * removed by the next writer in the folder. Process ids would not tell: in containers all writers may have the same. The
 * names are few and short, so that neither the length of path nor the number of leftovers matters. */
#define _GNU_SOURCE /* flock, realpath, O_PATH */
#include "replace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"

enum { WRITERS = 64, NAME = 32 }; /* at once in one folder; bytes of a temporary file's name */

typedef struct replacement {
    const char *path; /* of the caller */
    char *target;     /* without links */
    const char *name; /* its last part */
    int folder;
    char temporary[NAME]; /* in the folder */
    gru_output output;
} replacement;

static gru_status fail_io(const char *what, const char *path) {
    return gru_fail(GRU_IO, "cannot %s %s: %s; nothing there has changed", what, path, strerror(errno));
}

gru_status gru_output_write(const gru_output *output, const void *data, size_t bytes) {
    const char *next = data;
    while (bytes > 0) {
        const ssize_t written = write(output->descriptor, next, bytes < SSIZE_MAX ? bytes : SSIZE_MAX);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return fail_io("write", output->path);
        next += written;
        bytes -= (size_t)written;
    }
    return GRU_OK;
}

/* ---- the target ---- */

/* A link would be replaced instead of what it names; a link to nothing names no folder to write in. */
static gru_status find_target(replacement *r) {
    struct stat facts;
    r->target = realpath(r->path, NULL);
    if (r->target) return GRU_OK;
    if (errno == ENOMEM) return gru_fail(GRU_OUT_OF_MEMORY, "no memory to write %s", r->path);
    if (errno != ENOENT) return fail_io("find", r->path);
    if (lstat(r->path, &facts) == 0)
        return gru_fail(GRU_IO, "%s is a symbolic link to a file that is not there", r->path);
    r->target = malloc(strlen(r->path) + 1);
    if (!r->target) return gru_fail(GRU_OUT_OF_MEMORY, "no memory to write %s", r->path);
    strcpy(r->target, r->path);
    return GRU_OK;
}

/* Opens the folder. One that may be written but not read cannot be synced later. */
static gru_status open_folder(replacement *r) {
    char *slash = strrchr(r->target, '/');
    const char *folder = !slash ? "." : slash == r->target ? "/" : r->target;
    r->name = slash ? slash + 1 : r->target;
    const char first = slash ? *slash : '\0';
    if (slash && slash != r->target) *slash = '\0';
    r->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->folder < 0 && errno == EACCES) r->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (slash) *slash = first;
    return r->folder >= 0 ? GRU_OK : fail_io("open the folder of", r->path);
}

/* ---- temporary files ---- */

static int is_same_file(int descriptor, int folder, const char *name) {
    struct stat open_file, named;
    return fstat(descriptor, &open_file) == 0 && fstatat(folder, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

/* Removes the file if its writer is dead. The lock keeps others from removing it, and a new file of that name from here. */
static void remove_leftover(int folder, const char *name) {
    struct stat facts;
    const int descriptor = openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) return;
    if (fstat(descriptor, &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_uid == geteuid() &&
        flock(descriptor, LOCK_EX | LOCK_NB) == 0 && is_same_file(descriptor, folder, name))
        (void)unlinkat(folder, name, 0);
    (void)close(descriptor);
}

static void name_temporary(replacement *r, int number) {
    (void)snprintf(r->temporary, NAME, ".gru-save-%d.tmp", number);
}

/* Makes the file of this name, locked. Between both steps another writer may take it for a leftover, and holds the lock until
 * it is gone. A file system without locks has nobody who removes leftovers. */
static int create_temporary(replacement *r) {
    r->output.descriptor = openat(r->folder, r->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (r->output.descriptor < 0) return 0;
    while (flock(r->output.descriptor, LOCK_EX) != 0 && errno == EINTR) continue;
    if (is_same_file(r->output.descriptor, r->folder, r->temporary)) return 1;
    (void)close(r->output.descriptor);
    errno = EEXIST;
    return 0;
}

/* Takes the first free name, and removes all leftovers on the way. */
static gru_status open_temporary(replacement *r) {
    struct stat old;
    const int exists = fstatat(r->folder, r->name, &old, 0) == 0;
    if (exists && !S_ISREG(old.st_mode)) return gru_fail(GRU_IO, "%s is not a regular file", r->path);
    for (int i = 0; i < WRITERS; i++) {
        name_temporary(r, i);
        remove_leftover(r->folder, r->temporary);
    }
    for (int i = 0; i < WRITERS; i++) {
        name_temporary(r, i);
        if (create_temporary(r)) {
            if (exists) (void)fchmod(r->output.descriptor, old.st_mode & 0777);
            return GRU_OK;
        }
        if (errno != EEXIST) return fail_io("create a file beside", r->path);
    }
    return gru_fail(GRU_IO, "%d others are writing files beside %s, expected fewer", WRITERS, r->path);
}

/* ---- all of it ---- */

/* After this the new name outlives a power failure. Some file systems cannot do that. */
static gru_status sync_folder(const replacement *r) {
    if (fsync(r->folder) == 0 || errno == EINVAL || errno == EBADF || errno == ENOTSUP) return GRU_OK;
    return gru_fail(GRU_IO, "%s is written, but a power failure may undo it: cannot sync its folder: %s",
                    r->path, strerror(errno));
}

static gru_status put_in_place(const replacement *r) {
    if (fsync(r->output.descriptor) != 0) return fail_io("write", r->path);
    if (renameat(r->folder, r->temporary, r->folder, r->name) != 0) return fail_io("replace", r->path);
    return GRU_OK;
}

static gru_status write_aside(replacement *r, gru_status (*fill)(const gru_output *, void *), void *user) {
    GRU_TRY(open_temporary(r));
    gru_status status = fill(&r->output, user);
    if (status == GRU_OK) status = put_in_place(r);
    if (status != GRU_OK) (void)unlinkat(r->folder, r->temporary, 0);
    (void)close(r->output.descriptor); /* also ends the lock */
    return status == GRU_OK ? sync_folder(r) : status;
}

gru_status gru_file_replace(const char *path, gru_status (*fill)(const gru_output *output, void *user),
                            void *user) {
    replacement r = {.path = path, .folder = -1, .output = {.path = path}};
    gru_status status = find_target(&r);
    if (status == GRU_OK) status = open_folder(&r);
    if (status == GRU_OK) status = write_aside(&r, fill, user);
    if (r.folder >= 0) (void)close(r.folder);
    free(r.target);
    return status;
}

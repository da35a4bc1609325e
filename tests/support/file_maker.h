/* file_maker.h: makes safetensors files in memory, correct or with chosen errors. */
#ifndef FILE_MAKER_H
#define FILE_MAKER_H

#include <stddef.h>
#include <stdint.h>

enum { FILE_MAKER_HEADER = 16384 };

/* Starts all zero. */
typedef struct file_maker {
    char header[FILE_MAKER_HEADER]; /* members of the JSON object so far */
    size_t offset;                  /* bytes of data so far */
} file_maker;

/* Adds a member to the header: "name":value. */
void file_add(file_maker *f, const char *name, const char *value);
/* Adds a tensor at the end of the data. shape: "[3,2]". */
void file_add_tensor(file_maker *f, const char *name, const char *dtype, const char *shape, size_t bytes);

/* The file's bytes in a block of exactly that size, to be freed. The data counts up from 1, as f32 where it can be. */
void *file_finish(const file_maker *f, size_t *size);
/* The same with a given header. length: the header length written to the file; -1: the true one. */
void *file_bytes(const char *header, long long length, size_t data_bytes, size_t *size);

/* Reads a whole file into a block to be freed; NULL if it cannot. */
void *file_read(const char *path, size_t *size);

#endif

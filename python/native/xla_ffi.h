/* xla_ffi.h: the part of XLA's interface for foreign functions that libgru's operators use, in names of our own. The headers come
 * with jaxlib alone, and a wheel that is built with them would ask for a jaxlib of the same age. test_jax.py compares these
 * declarations with the headers of the installed jaxlib. */
#ifndef LIBGRU_XLA_FFI_H
#define LIBGRU_XLA_FFI_H

#include <stddef.h>
#include <stdint.h>

enum { XLA_VERSION_MAJOR = 0, XLA_VERSION_MINOR = 1 }; /* of this part */
enum { XLA_INVALID_ARGUMENT = 3, XLA_OUT_OF_MEMORY = 8, XLA_UNIMPLEMENTED = 12, XLA_INTERNAL = 13 };
enum { XLA_BOOL = 1, XLA_S32 = 4, XLA_U8 = 6, XLA_F16 = 10, XLA_F32 = 11, XLA_F64 = 12, XLA_BF16 = 16 };
enum { XLA_BUFFER = 1, XLA_ARRAY = 1, XLA_EXTENSION_METADATA = 1 };
enum { XLA_STAGE_EXECUTE = 3 };

typedef struct xla_extension {
    size_t struct_size;
    int32_t type;
    struct xla_extension *next;
} xla_extension;

typedef struct xla_version {
    size_t struct_size;
    xla_extension *extension_start;
    int32_t major_version, minor_version;
} xla_version;

typedef struct xla_metadata {
    size_t struct_size;
    xla_version api_version;
    uint32_t traits;
} xla_metadata;

typedef struct xla_metadata_extension {
    xla_extension extension_base;
    xla_metadata *metadata;
} xla_metadata_extension;

typedef struct xla_error xla_error; /* NULL: success */
typedef struct xla_error_arguments {
    size_t struct_size;
    xla_extension *extension_start;
    const char *message;
    int32_t errc;
} xla_error_arguments;

typedef struct xla_api {
    size_t struct_size;
    xla_extension *extension_start;
    xla_version api_version;
    const void *internal_api;
    xla_error *(*XLA_FFI_Error_Create)(xla_error_arguments *arguments);
} xla_api;

typedef struct xla_buffer {
    size_t struct_size;
    xla_extension *extension_start;
    int32_t dtype;
    void *data;
    int64_t rank;
    int64_t *dims;
} xla_buffer;

typedef struct xla_text {
    const char *ptr;
    size_t len;
} xla_text;

typedef struct xla_array {
    int32_t dtype;
    size_t size;
    void *data;
} xla_array;

/* Arguments, and results. */
typedef struct xla_buffers {
    size_t struct_size;
    xla_extension *extension_start;
    int64_t size;
    int32_t *types;
    void **values;
} xla_buffers;

typedef struct xla_attributes {
    size_t struct_size;
    xla_extension *extension_start;
    int64_t size;
    int32_t *types;
    xla_text **names;
    void **attrs;
} xla_attributes;

typedef struct xla_call {
    size_t struct_size;
    xla_extension *extension_start;
    const xla_api *api;
    void *ctx;
    int32_t stage;
    xla_buffers args, rets;
    xla_attributes attrs;
} xla_call;

#endif

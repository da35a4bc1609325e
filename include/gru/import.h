/* import.h: other people's weights and files.
 *
 * Rules of gru.h hold. All memory here is host memory. SPDX-License-Identifier: Apache-2.0 */
#ifndef GRU_IMPORT_H
#define GRU_IMPORT_H

#include "stack.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- orders ------------------------------------------------------------------------------------------------------ */

/* Whose arrays, in which order. Shapes are [rows][columns], row-major; "z r n" means the rows (or columns) of the three
 * gates follow each other in that order. reset_mode: what the library's GRU computes, and so what the order can hold.
 * update is KEEP in all of them. Any bias may be NULL: zeros.
 *
 *   order       gates  reset   arrays
 *   PYTORCH     r z n  AFTER   weight_ih [3H][I], weight_hh [3H][H], bias_ih [3H], bias_hh [3H]
 *   KERAS       z r n  AFTER   kernel [I][3H], recurrent_kernel [H][3H], bias [2][3H]: input, recurrent
 *                      BEFORE  the same, bias [3H]. (The old CuDNNGRU lies differently: python/gru_convert.py)
 *   ONNX        z r n  both    W [3H][I], R [3H][H], B [6H]: input, recurrent; of one direction
 *   CUDNN       r z n  AFTER   the matrices of cudnnGetRNNWeightParams by linLayerID: input 0 1 2 as [3H][I], recurrent
 *                              3 4 5 as [3H][H], biases 0 1 2 [3H], biases 3 4 5 [3H]
 *   ONEDNN      z r n  BEFORE  weights_layer [I][3][H], weights_iter [H][3][H], bias [3][H]
 *   ONEDNN_LBR  z r n  AFTER   the same, bias [4][H]: sums of z and r, input bias of n, recurrent bias of n
 *   TF1         r z    BEFORE  gates/kernel [I+H][2H], gates/bias [2H], candidate/kernel [I+H][H], candidate/bias [H]
 *   TFLITE      r z    BEFORE  gate_weight [2H][I+H], gate_bias [2H], candidate_weight [H][I+H], candidate_bias [H]
 *   MIOPEN      z r n  AFTER   as CUDNN, by paramID of miopenGetRNNLayerParam
 *   HASTE       z r n  AFTER   kernel [I][3H], recurrent_kernel [H][3H], bias [3H], recurrent_bias [3H]
 *   FLAX        r z n  AFTER   kernels of ir, iz, in as [3][I][H], of hr, hz, hn as [3][H][H], biases of ir, iz, in as
 *                              [3][H], bias of hn [H]
 */
enum {
    GRU_ORDER_PYTORCH = 0,
    GRU_ORDER_KERAS = 1,
    GRU_ORDER_ONNX = 2,
    GRU_ORDER_CUDNN = 3,
    GRU_ORDER_ONEDNN = 4,
    GRU_ORDER_ONEDNN_LBR = 5,
    GRU_ORDER_TF1 = 6,
    GRU_ORDER_TFLITE = 7,
    GRU_ORDER_MIOPEN = 8,
    GRU_ORDER_HASTE = 9,
    GRU_ORDER_FLAX = 10
};

typedef struct gru_framework_weights {
    int32_t order;                       /* GRU_ORDER_... */
    int32_t reset_mode, update;          /* what the source computes; a reset that the order cannot hold is refused */
    const float *arrays[8];              /* in the order of the table above; the rest NULL */
    size_t counts[8];                    /* numbers in each: checked. 0 for NULL */
    uint64_t reserved[4];                /* 0 */
} gru_framework_weights;

/* Canonical numbers in memory of the caller; none may be NULL, except W with 0 inputs. */
typedef struct gru_native_weights {
    float *W, *R, *bW, *bR;              /* [3H][I] [3H][H] [3H] [3H], gates r, z, n */
} gru_native_weights;

/* Numbers in each array of this order for shape's I, H and reset; 0 in unused places. */
GRU_API gru_status gru_order_counts(int32_t order, const gru_layer_config *shape, size_t counts[8]);

/* source -> target. shape: I, H and the variant wanted. KEEP and WRITE convert into each other (the z rows change
 * sign); a reset never converts: GRU_UNSUPPORTED. */
GRU_API gru_status gru_import(const gru_framework_weights *source, const gru_layer_config *shape,
                              const gru_native_weights *target);

typedef struct gru_framework_weights_out {
    int32_t order;
    int32_t reset_mode, update;          /* what the target will compute */
    float *arrays[8];                    /* written; NULL only for a bias that the source has not */
    size_t counts[8];
    uint64_t reserved[4];                /* 0 */
} gru_framework_weights_out;

/* source (f32, host) -> target, which may not overlap. shape: I, H and the variant that source computes; KEEP and WRITE
 * as in gru_import. GRU_UNSUPPORTED where the order cannot hold the reset. Where it has one bias for two, they are
 * added: that happens only where they act as a sum. */
GRU_API gru_status gru_export(const gru_weights *source, const gru_layer_config *shape,
                              const gru_framework_weights_out *target);

/* ---- safetensors files ------------------------------------------------------------------------------------------- */

typedef struct gru_file gru_file;        /* a file, mapped and checked whole */

/* GRU_IO: cannot be read. GRU_BAD_DATA: not a safetensors file, with the first thing found wrong. The file must not
 * change while it is open. */
GRU_API gru_status gru_file_open(const char *path, gru_file **file);
/* The same of bytes in memory, which must live as long as the file. */
GRU_API gru_status gru_file_parse(const void *bytes, size_t size, gru_file **file);
GRU_API void gru_file_close(gru_file *file);                             /* NULL: nothing */

/* Types of plain tensors: GRU_F32 ... and these. */
enum { GRU_TENSOR_I32 = 16, GRU_TENSOR_I64 = 17, GRU_TENSOR_U8 = 18, GRU_TENSOR_OTHER = 19 };

/* One tensor (an embedding, a linear layer): data points into the file and lives until it is closed. */
typedef struct gru_tensor {
    const void *data;
    size_t bytes;
    int32_t type, rank;
    int64_t shape[8];
} gru_tensor;
/* GRU_BAD_DATA if there is none of that name. Unaligned data is possible: files made elsewhere need not align it. */
GRU_API gru_status gru_file_tensor(const gru_file *file, const char *name, gru_tensor *tensor);
/* Names in the order of the data; NULL past the last. */
GRU_API const char *gru_file_name(const gru_file *file, int32_t index);
/* A string of the file's metadata; NULL if there is none. */
GRU_API const char *gru_file_metadata(const gru_file *file, const char *key);

typedef struct gru_load_options {
    const char *prefix;                  /* "encoder.gru."; NULL: the only GRU in the file, else refused */
    int32_t io_type, state_type, weight_type;
    uint64_t reserved[4];                /* 0 */
} gru_load_options;

/* The weights of a GRU saved with PyTorch's names (weight_ih_l0, weight_hh_l0_reverse ...) as a stack. A layer that has
 * only _reverse tensors is a reverse layer. What names do not tell is PyTorch's unless the file's metadata says
 * otherwise, as written by gru_file_save or the converter script, under the prefix of the tensors:
 *
 *   PREFIXgru.reset      after, before, all        PREFIXgru.gate        sigmoid, hard_sigmoid
 *   PREFIXgru.update     keep, write               PREFIXgru.hard_slope  a number
 *   PREFIXgru.candidate  tanh, relu, linear        PREFIXgru.clip        a number, 0: none
 *   PREFIXgru.merge      concat, sum, separate     PREFIXgru.dropout     a number, of the stack
 *
 * for all layers, or PREFIXgru.lK.reset and so on for layer K alone. options NULL: all defaults. The file may be closed
 * afterwards. GRU_BAD_DATA with the tensor's name for what is missing or has another shape. */
GRU_API gru_status gru_stack_load(gru_context *context, const gru_file *file, const gru_load_options *options,
                                  gru_stack **stack);

/* Writes config's weights and variant (f32, f16, bf16, f64 as they are; a bias that only one side has gets zeros on the
 * other) to a new file beside path and renames it over path, so that a failure loses nothing: GRU_IO with the system's
 * reason. The same config gives the same bytes. io_type, state_type, weight_type are not stored. prefix NULL: "". */
GRU_API gru_status gru_file_save(const char *path, const gru_stack_config *config, const char *prefix);

#ifdef __cplusplus
}
#endif
#endif

/** @file import.h
 * Converts weights of other frameworks, and reads and writes safetensors files.
 *
 * The rules of gru.h hold. All memory here is host memory. SPDX-License-Identifier: Apache-2.0 */
#ifndef GRU_IMPORT_H
#define GRU_IMPORT_H

#include "stack.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- orders ------------------------------------------------------------------------------------------------------ */

/** Array layouts of other frameworks. Shapes are [rows][columns], row-major. "z r n" is the order of the three gates
 * among the rows (or columns). The column reset lists the modes that a layout can hold; both: AFTER and BEFORE. update
 * is KEEP in all of them. Any bias may be NULL: zeros.
 *
 *     order       gates  reset   arrays
 *     PYTORCH     r z n  AFTER   weight_ih [3H][I], weight_hh [3H][H], bias_ih [3H], bias_hh [3H]
 *     KERAS       z r n  AFTER   kernel [I][3H], recurrent_kernel [H][3H], bias [2][3H]: input, recurrent
 *                      BEFORE  the same, bias [3H]. (gru-convert also reads the layout of the old CuDNNGRU.)
 *     ONNX        z r n  both    W [3H][I], R [3H][H], B [6H]: input, recurrent; of one direction
 *     CUDNN       r z n  AFTER   the matrices of cudnnGetRNNWeightParams by linLayerID: input 0 1 2 as [3H][I],
 *                                recurrent 3 4 5 as [3H][H], biases 0 1 2 [3H], biases 3 4 5 [3H]
 *     ONEDNN      z r n  BEFORE  weights_layer [I][3][H], weights_iter [H][3][H], bias [3][H]
 *     ONEDNN_LBR  z r n  AFTER   the same, bias [4][H]: sums of z and r, input bias of n, recurrent bias of n
 *     TF1         r z    BEFORE  gates/kernel [I+H][2H], gates/bias [2H], candidate/kernel [I+H][H], candidate/bias [H]
 *     TFLITE      r z    BEFORE  gate_weight [2H][I+H], gate_bias [2H], candidate_weight [H][I+H], candidate_bias [H]
 *     MIOPEN      z r n  AFTER   as CUDNN, by paramID of miopenGetRNNLayerParam
 *     HASTE       z r n  AFTER   kernel [I][3H], recurrent_kernel [H][3H], bias [3H], recurrent_bias [3H]
 *     FLAX        r z n  AFTER   kernels of ir, iz, in as [3][I][H], of hr, hz, hn as [3][H][H], biases of ir, iz, in
 *                                as [3][H], bias of hn [H]
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

/** Weights in the layout of a framework, to read. */
typedef struct gru_framework_weights {
    int32_t order;                       /**< GRU_ORDER_... */
    int32_t reset_mode;                  /**< What the source computes. Refused if the order cannot hold it. */
    int32_t update;                      /**< What the source computes: GRU_UPDATE_... */
    int32_t type;                        /**< Type of all arrays: f32, f16, bf16 or f64. */
    const void *arrays[8];               /**< In the order of the table of layouts; the rest NULL. */
    size_t counts[8];                    /**< Numbers in each array; checked. 0 for NULL. */
    uint64_t reserved[4];                /**< Zero. */
} gru_framework_weights;

/** Weights in this library's layout, to write. Only W may be NULL, and only with 0 inputs. */
typedef struct gru_native_weights {
    void *W;                             /**< [3H][I], gates r, z, n. */
    void *R;                             /**< [3H][H] */
    void *bW;                            /**< [3H] */
    void *bR;                            /**< [3H] */
    int32_t type;                        /**< Type of all four: f32, f16, bf16 or f64. */
} gru_native_weights;

/** Weights in the layout of a framework, to write. */
typedef struct gru_framework_weights_out {
    int32_t order;                       /**< GRU_ORDER_... */
    int32_t reset_mode;                  /**< What the target will compute. */
    int32_t update;                      /**< What the target will compute: GRU_UPDATE_... */
    int32_t type;                        /**< Type of all arrays: f32, f16, bf16 or f64. */
    void *arrays[8];                     /**< Written. NULL only for a bias that the source does not have. */
    size_t counts[8];                    /**< Numbers in each array; checked. 0 for NULL. */
    uint64_t reserved[4];                /**< Zero. */
} gru_framework_weights_out;

/** Returns how many numbers each array of a layout has, for shape's I, H and reset_mode. Unused places become 0. */
GRU_API gru_status gru_order_counts(int32_t order, const gru_layer_config *shape, size_t counts[8]);

/** Converts source to target, which may not overlap it: nothing is converted in place. shape: I, H and the variant
 * wanted. KEEP and WRITE convert into each other: the sign of the z rows changes; GRU_UNSUPPORTED if the gates'
 * function has not 1 - f(v) = f(-v). Different reset modes never convert: GRU_UNSUPPORTED. Numbers are rounded to the
 * target's type once, to 16 bits through f32. GRU_BAD_DATA names a finite number that the target's type cannot hold. A
 * learned initial state is the array [H] in every layout: it needs no conversion. */
GRU_API gru_status gru_import(const gru_framework_weights *source, const gru_layer_config *shape,
                              const gru_native_weights *target);

/** Converts source (f32, f16, bf16 or f64) to target, which may not overlap it. shape: I, H and the variant that source
 * computes. KEEP and WRITE convert, and numbers are rounded, as in gru_import(). GRU_UNSUPPORTED if the layout cannot
 * hold the reset mode. Two biases are added where the layout has one for both; this happens only where they act as a
 * sum. */
GRU_API gru_status gru_export(const gru_weights *source, const gru_layer_config *shape,
                              const gru_framework_weights_out *target);

/* ---- safetensors files ------------------------------------------------------------------------------------------- */

typedef struct gru_file gru_file;        /**< A file, mapped into memory and checked whole. */

/** Opens a safetensors file. GRU_IO: it cannot be read. GRU_BAD_DATA: it is not a safetensors file; the sentence names
 * the first fault. The file must not change or shrink while it is open: a read beyond its new end raises SIGBUS. The
 * caller closes it. */
GRU_API gru_status gru_file_open(const char *path, gru_file **file);
/** The same for bytes in memory, which must stay valid until the file is closed. */
GRU_API gru_status gru_file_parse(const void *bytes, size_t size, gru_file **file);
GRU_API void gru_file_close(gru_file *file);                             /**< NULL: does nothing. */

/** Types of tensors in files, in addition to GRU_F32 and the other number types. */
enum { GRU_TENSOR_I32 = 16, GRU_TENSOR_I64 = 17, GRU_TENSOR_U8 = 18, GRU_TENSOR_OTHER = 19 };

/** One tensor of a file, such as an embedding or a linear layer. */
typedef struct gru_tensor {
    const void *data;                    /**< Points into the file; valid until it is closed. May be unaligned. */
    size_t bytes;                        /**< Size of the data. */
    int32_t type;                        /**< GRU_F32, ... or GRU_TENSOR_... */
    int32_t rank;                        /**< Number of dimensions. */
    int64_t shape[8];                    /**< Dimensions; the rest 0. */
    const char *dtype;                   /**< The type's name in the file, such as "F8_E4M3"; valid until it is
                                              closed. Of a dtype that this library does not know, bytes is not
                                              checked. */
} gru_tensor;
/** Finds a tensor by name. Where weights are tied, the metadata may give a second name to a tensor (as save_model of
 * the safetensors package writes it); that name finds the tensor too. GRU_BAD_DATA if there is none of that name,
 * GRU_UNSUPPORTED if it has more than 8 dimensions. */
GRU_API gru_status gru_file_tensor(const gru_file *file, const char *name, gru_tensor *tensor);
/** Returns the name of a tensor, in the order of the data; NULL past the last. */
GRU_API const char *gru_file_name(const gru_file *file, int32_t index);
/** Returns a string of the file's metadata; NULL if there is none of that key. */
GRU_API const char *gru_file_metadata(const gru_file *file, const char *key);

/** What to load, and in which number types. */
typedef struct gru_load_options {
    const char *prefix;                  /**< Prefix of the tensors, such as "encoder.gru."; NULL: the only GRU in the
                                              file, which is refused if there are several. */
    int32_t io_type;                     /**< As in gru_layer_config. */
    int32_t state_type;                  /**< As in gru_layer_config. */
    int32_t weight_type;                 /**< As in gru_layer_config. */
    uint64_t reserved[4];                /**< Zero. */
} gru_load_options;

/** Creates a stack from a file whose tensors have PyTorch's names: weight_ih_l0, weight_hh_l0_reverse and so on. A
 * layer that has only _reverse tensors becomes a reverse layer. Names do not tell the variant: it is PyTorch's,
 * unless the file's metadata says otherwise. gru_file_save() and gru-convert write these keys, after the prefix of
 * the tensors:
 *
 *     PREFIXgru.reset          after, before, all
 *     PREFIXgru.update         keep, write
 *     PREFIXgru.gate, PREFIXgru.candidate
 *                              the name of an activation in small letters: sigmoid, hard_sigmoid, leaky_relu, ...
 *     PREFIXgru.gate_alpha, gate_beta, candidate_alpha, candidate_beta
 *                              numbers of an activation that has them
 *     PREFIXgru.hard_slope     a number above 0, alpha of the gate hard_sigmoid
 *     PREFIXgru.clip           a number, 0: none
 *     PREFIXgru.merge          concat, sum, separate, average, multiply
 *     PREFIXgru.dropout        a number below 1, of the stack
 *     PREFIXgru.initial_state  zeros, learned: each sublayer has an initial state [H], h0_l0, h0_l0_reverse and so on,
 *                              of the type of its weights
 *
 * Weights may be I8, as gru_file_save(), gru_stack_save() and gru-convert --int8 write them: weight_ih_scale_l0 [3H]
 * and so on hold the scale of each row, which is finite, and scales, biases and initial states are F32. A layer of
 * weight_type GRU_INT8 keeps them as they are.
 *
 * They hold for all layers; PREFIXgru.lK.reset and so on hold for layer K alone, PREFIXgru.lK.reverse.reset and so on
 * (but merge) for its reverse direction. Refused by its name: a key after PREFIXgru. that says nothing known, a layer
 * or direction that is not there, a number that single precision rounds to 0, and a key of a prefix that no GRU here
 * has. options NULL: all defaults. The file may be closed afterwards. GRU_BAD_DATA names the tensor that is missing
 * or has another shape. */
GRU_API gru_status gru_stack_load(gru_context *context, const gru_file *file, const gru_load_options *options,
                                  gru_stack **stack);

/** Writes the weights, learned initial states and variant of config to a file. Weights are written as they are (f32,
 * f16, bf16, f64, int8 with their scales). If only one side has a bias, the other gets zeros; if only some sublayers
 * have an initial state, the others get zeros. The same config gives the same bytes. io_type, state_type and
 * weight_type are not stored. prefix NULL: "". The call reads config.weights, not the layers: weights that an optimiser
 * has changed are saved whether or not gru_layer_update() took them over. What gru_stack_load() would refuse is refused
 * before anything is written.
 *
 * It writes a new file, .gru-save-N.tmp in the folder of path, syncs it, renames it to path and syncs the folder.
 * A failure loses nothing: GRU_IO with the system's reason. The file keeps the old one's permissions, but not its
 * owner and attributes. A symbolic link is followed. Files of that name whose writers were killed are removed. */
GRU_API gru_status gru_file_save(const char *path, const gru_stack_config *config, const char *prefix);

/** A tensor to write: dense, in host memory. */
typedef struct gru_named_tensor {
    const char *name;                    /**< Its whole name. */
    const void *data;                    /**< NULL only if it has no numbers. */
    int32_t type;                        /**< f32, f16, bf16 or f64. */
    int32_t rank;                        /**< Number of dimensions, 0 to 8. */
    int64_t shape[8];                    /**< Dimensions. */
    uint64_t reserved[2];                /**< Zero. */
} gru_named_tensor;

/** Writes what the layers of a stack hold, as gru_layer_read() reads it: in f32, f64 for layers in f64, or the integers
 * and scales of layers of int8 weights: loaded with the weight_type that it had, the stack has the same bits. Also its
 * variant, its learned initial states, and further tensors [count], such as a linear layer behind it (a head). Their
 * names may not be those of the stack's tensors. CUDA: waits for the stream. Else as gru_file_save(). */
GRU_API gru_status gru_stack_save(const char *path, const gru_stack *stack, const char *prefix,
                                  const gru_named_tensor *tensors, int32_t count, void *stream);

/** Takes the weights and learned initial states of all sublayers from a file: gru_stack_update(). Its sublayers must
 * have the same sizes, directions and variants, and initial states other than zeros only where the stack has learned
 * ones. prefix NULL: the only GRU in the file. A stack all of whose layers are of int8 weights keeps the file's
 * integers. Allocates memory for the weights twice. */
GRU_API gru_status gru_stack_update_from_file(gru_stack *stack, const gru_file *file, const char *prefix,
                                              void *stream);

#ifdef __cplusplus
}
#endif
#endif

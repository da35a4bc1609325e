/* variant.h: what tensors alone do not tell about a GRU, as words in a file's metadata.
 *
 * Keys start with the prefix of the tensors: "encoder.gru.reset" belongs to "encoder.weight_ih_l0".
 *
 *   PREFIXgru.FIELD             for every layer
 *   PREFIXgru.lK.FIELD          for layer K alone, before the other
 *   PREFIXgru.lK.reverse.FIELD  for layer K's reverse direction alone, before both; not merge
 *   PREFIXgru.dropout           number below 1, of the stack
 *   PREFIXgru.initial_state     zeros (default), learned: h0_l0 and so on [H] hold an initial state of every sublayer
 *
 *   reset       after (default), before, all
 *   update      keep (default), write
 *   gate        a word of core/activations.def; sigmoid (default)
 *   candidate   a word of core/activations.def; tanh (default)
 *   merge       concat (default), sum, separate, average, multiply
 *   clip        number, 0 (default): none
 *   hard_slope  number above 0, 0.2 (default): alpha of the gate hard_sigmoid
 *   gate_alpha, gate_beta, candidate_alpha, candidate_beta
 *               numbers of a function that has them, by default those of the table. A key for gate or candidate ends
 *               what keys for more layers say of its numbers: they are another function's.
 *
 * The direction is in the tensors' names: a layer with only "_reverse" tensors is a reverse layer. */
#ifndef GRU_VARIANT_H
#define GRU_VARIANT_H

#include "gru/stack.h"

enum { GRU_VARIANT_FIELDS = 11, GRU_VARIANT_TEXT = 64 };

/* "reset" ... A field that is a function's number comes after the function. */
const char *gru_variant_field(int field);
/* The field of this name; -1: none. */
int gru_variant_find(const char *name);
/* The function that a number belongs to; of any other field itself. */
int gru_variant_owner(int field);
/* Whether directions may differ in it. */
int gru_variant_is_of_direction(int field);

/* The value of a field as text: of the reverse direction, or of the layer. config: of that direction, checked, defaults filled
 * in. "": it does not have this number. */
void gru_variant_write(const gru_layer_config *config, int32_t merge, int field, char text[GRU_VARIANT_TEXT]);

/* One line of a file's metadata. */
typedef struct gru_metadata {
    const char *source, *key, *text; /* the file and the key, for sentences; the value */
} gru_metadata;

/* Sets a field. GRU_BAD_DATA if the text is none of its words, or no number that the field can have. */
gru_status gru_variant_read(gru_layer_config *config, int32_t *merge, int field, const gru_metadata *line);

/* A number from 0, which a float holds: neither its largest nor its smallest numbers are passed. GRU_BAD_DATA if not. */
gru_status gru_variant_number(const gru_metadata *line, float *number);

#endif

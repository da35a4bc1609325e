/* train_options.h: what g2p_train can be asked. */
#ifndef G2P_TRAIN_TRAIN_OPTIONS_H
#define G2P_TRAIN_TRAIN_OPTIONS_H

#include "checkpoint.h"
#include "dictionary.h"

typedef struct train_options {
    const char *dictionary, *folder;
    network_config network; /* letters: not yet */
    int32_t threads, words, epochs, save_seconds;
    double rate, clip;
} train_options;

/* -1: go on; else the program ends with this status, after a message. */
int train_options_parse(int count, char **arguments, train_options *o);

/* All that decides what comes out, as one line. */
void train_options_recipe(const train_options *o, const dictionary *d, char recipe[MAX_RECIPE]);

#endif

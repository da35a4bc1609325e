/* curve.h: the picture of a training. */
#ifndef G2P_CURVE_H
#define G2P_CURVE_H

#include "checkpoint.h"

/* Writes an SVG: loss, and error rates of the watched words, by epoch. 0 on failure, after a message on stderr. */
int curve_draw(const char *path, const progress *p);

#endif

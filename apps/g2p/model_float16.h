/* model_float16.h: numbers of 16 bits (IEEE binary16), in which models are shipped. */
#ifndef G2P_MODEL_FLOAT16_H
#define G2P_MODEL_FLOAT16_H

#include <math.h>
#include <stdint.h>

static inline float half_to_float(uint16_t half) {
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    const float magnitude = exponent == 0    ? ldexpf((float)fraction, -24)
                            : exponent == 31 ? (fraction ? NAN : INFINITY)
                                             : ldexpf((float)(1024 + fraction), exponent - 25);
    return half >> 15 ? -magnitude : magnitude;
}

/* To the nearest, ties to even; from 65520 on infinite. */
static inline uint16_t half_from_float(float value) {
    const uint16_t sign = signbit(value) ? 0x8000 : 0;
    const float magnitude = fabsf(value);
    int exponent = 0;
    if (isnan(value)) return sign | 0x7E00;
    if (magnitude >= 65520) return sign | 0x7C00;
    (void)frexpf(magnitude, &exponent);
    if (magnitude < 0x1p-14f) exponent = -13; /* steps of 2^-24 down to zero */
    /* 0 to 2048 steps; with the implicit bit dropped, a carry out of the fraction is the next exponent */
    const int steps = (int)rintf(ldexpf(magnitude, 11 - exponent));
    return (uint16_t)(sign | (((exponent + 13) << 10) + steps));
}

#endif

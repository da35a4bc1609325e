// Stand-in for CUDA's vector_types.h and vector_functions.h: the short vectors that kernels move in one
// access.
#ifndef EMU_VECTOR_TYPES_H
#define EMU_VECTOR_TYPES_H

#ifdef __cplusplus
#define EMU_VECTOR(TYPE, ELEMENT, ALIGN)                                                          \
    struct __attribute__((aligned(ALIGN))) TYPE##4 {                                              \
        ELEMENT x, y, z, w;                                                                       \
    };                                                                                            \
    struct __attribute__((aligned((ALIGN) / 2))) TYPE##2 {                                        \
        ELEMENT x, y;                                                                             \
    };                                                                                            \
    __attribute__((always_inline)) inline TYPE##2 make_##TYPE##2(ELEMENT x, ELEMENT y) {          \
        return {x, y};                                                                            \
    }                                                                                             \
    __attribute__((always_inline)) inline TYPE##4 make_##TYPE##4(ELEMENT x, ELEMENT y, ELEMENT z, \
                                                                 ELEMENT w) {                     \
        return {x, y, z, w};                                                                      \
    }
EMU_VECTOR(float, float, 16)
EMU_VECTOR(int, int, 16)
EMU_VECTOR(uint, unsigned, 16)
EMU_VECTOR(ushort, unsigned short, 8)
#undef EMU_VECTOR

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
#else
typedef struct dim3 {
    unsigned x, y, z;
} dim3;
#endif
#endif

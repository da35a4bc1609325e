// Instructions that the PTX manual defines only up to an error. Within it their results move with the seed:
// up, down, or by a number drawn from the operands, so that the same operands always give the same result.
#ifndef EMU_PTX_APPROXIMATE_H
#define EMU_PTX_APPROXIMATE_H
#include <cmath>
#include <cstdint>

namespace ptx {
float ex2_approx(float);        // relative error 2^-22
float ex2_approx_ftz(float);    // the same; subnormal numbers are zeros
float rcp_approx_ftz(float);    // relative error 2^-23
float div_approx(float, float); // 2 ulp where the divisor lies in 2^-126 .. 2^126; 0 where it is larger
float div_full(float, float);   // 2 ulp
float tanh_approx(float);       // relative error 2^-11
} // namespace ptx
#endif

// Approximate instructions: exact values in double, moved within the documented error.
#include "ptx/ptx_approximate.h"
#include <algorithm>
#include "control.h"

namespace ptx {
namespace {
uint64_t mixed(uint64_t x) { // a bijection that scatters neighbours
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}
uint32_t bits(float f) {
    return __builtin_bit_cast(uint32_t, f);
}
// Between -1 and 1.
double drawn(float a, float b) {
    const uint64_t seed = emu_option.seed;
    if (seed % 3 == 1) return 1;
    if (seed % 3 == 2) return -1;
    return double(mixed(seed ^ mixed(bits(a) | uint64_t(bits(b)) << 32)) >> 11) * 0x1p-52 - 1;
}
// The float that lies farthest from the exact value on the drawn side within the drawn part of the error.
float moved(double exact, double error, float a, float b) {
    const float nearest = float(exact);
    if (!std::isnormal(nearest)) return nearest;
    const double wanted = exact + error * drawn(a, b);
    float value = float(wanted);
    while (std::fabs(double(value) - exact) > error) value = std::nextafter(value, nearest);
    return value;
}
float flushed(float a) {
    return std::fpclassify(a) == FP_SUBNORMAL ? std::copysign(0.0f, a) : a;
}
double ulp(double exact) {
    return std::ldexp(1.0, std::max(std::ilogb(exact), -126) - 23);
}
float quotient(float a, float b) {
    const double exact = double(a) / double(b);
    if (!std::isnormal(float(exact))) return float(exact);
    return moved(exact, 2 * ulp(exact), a, b);
}
} // namespace

float ex2_approx(float a) {
    if (a == 0) return 1;
    const double exact = std::exp2(double(a));
    return moved(exact, exact * 0x1p-22, a, 0);
}
float ex2_approx_ftz(float a) {
    return flushed(ex2_approx(flushed(a)));
}
float rcp_approx_ftz(float a) {
    a = flushed(a);
    const double exact = 1 / double(a);
    return flushed(moved(exact, std::fabs(exact) * 0x1p-23, a, 0));
}
float div_approx(float a, float b) {
    if (std::fabs(b) > 0x1p126f && std::isfinite(b)) return std::isinf(a) ? NAN : a * 0.0f;
    return quotient(a, b);
}
float div_full(float a, float b) {
    return quotient(a, b);
}
float tanh_approx(float a) {
    const double exact = std::tanh(double(a));
    return moved(exact, std::fabs(exact) * 0x1p-11, a, 0);
}
} // namespace ptx

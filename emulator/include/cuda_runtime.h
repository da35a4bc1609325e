// Stand-in for cuda_runtime.h: what nvcc puts in front of every .cu file, for g++.
#ifndef EMU_CUDA_RUNTIME_H
#define EMU_CUDA_RUNTIME_H
#include "cuda_runtime_api.h"
#ifdef __cplusplus
#include "../emu.h"
#include "../builtins.h"
#include "../launch.h"
#endif
#endif

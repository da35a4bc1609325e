/* tester.c: the plain runner, numbers and buffers for all tests. */
#include "tester.h"

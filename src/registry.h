/* registry.h: finds backends and engines by number. */
#ifndef GRU_REGISTRY_H
#define GRU_REGISTRY_H

#include "core/engine.h"

/* Best first; NULL past the last. */
const gru_backend *gru_registry_backend(int32_t index);
const gru_engine *gru_registry_engine(int32_t index);
/* The one that the others are compared with. */
const gru_engine *gru_registry_reference(void);

#endif

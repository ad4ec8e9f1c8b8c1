// For whoever goes through buffers of a megabyte by the hundred: malloc would give each of them back to the system at once, to get
// it back page by page, which takes longer than filling it.

#pragma once

#include <malloc.h>

inline void KeepMemory() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
}

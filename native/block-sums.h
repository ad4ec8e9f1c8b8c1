// The sums of rsync's blocks, for librsync.cc: MD4 cut to 8 bytes and the classic rolling sum, of eight blocks at a time.

#pragma once

#include <cstddef>
#include <cstdint>

constexpr size_t kWeakLength = 4;
constexpr size_t kStrongLength = 8;
constexpr size_t kSumsLength = kWeakLength + kStrongLength;

// Sums of the blocks of `length` bytes that lie one behind the other at `bytes`, each kSumsLength as in a signature.
void BlockSums(const uint8_t* bytes, size_t length, size_t count, uint8_t* sums);

// One block's sums are a chain of steps that each wait for the one before. Eight blocks side by side fill the lanes of a vector:
// that is several times as fast as librsync, which takes one block after the other.

#include "block-sums.h"

#include <algorithm>
#include <array>
#include <cstring>

// Nothing here hands a vector to a function that is not inlined.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace {

constexpr size_t kLanes = 8;
// MD4 (RFC 1320) takes so many bytes at a time, in words of four.
constexpr size_t kStep = 64;
constexpr size_t kWords = kStep / 4;
// What librsync adds to each byte in the rolling sum.
constexpr uint32_t kOffset = 31;

// GCC makes of it what the processor has: AVX2, twice SSE2 or NEON, or plain words.
using Lanes = uint32_t __attribute__((vector_size(kLanes * sizeof(uint32_t))));

struct State {
  Lanes a, b, c, d;
  // The rolling sum's two halves.
  Lanes low, high;
};

#define INLINE __attribute__((always_inline)) inline

INLINE Lanes All(uint32_t value) { return Lanes{} + value; }

INLINE Lanes Rotate(Lanes x, int bits) { return (x << bits) | (x >> (32 - bits)); }

INLINE void Load(const std::array<const uint8_t*, kLanes>& at, size_t offset, Lanes (&words)[kWords]) {
  for (size_t k = 0; k < kWords; k++) {
    for (size_t lane = 0; lane < kLanes; lane++) {
      uint32_t word;
      std::memcpy(&word, at[lane] + offset + 4 * k, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
      word = __builtin_bswap32(word);
#endif
      words[k][lane] = word;
    }
  }
}

INLINE void Digest(State& state, const Lanes (&x)[kWords]) {
  Lanes a = state.a, b = state.b, c = state.c, d = state.d;
  const auto one = [&](size_t k, int s) {
    const Lanes next = Rotate(a + ((b & c) | (~b & d)) + x[k], s);
    a = d, d = c, c = b, b = next;
  };
  const auto two = [&](size_t k, int s) {
    const Lanes next = Rotate(a + ((b & c) | (b & d) | (c & d)) + x[k] + All(0x5a827999), s);
    a = d, d = c, c = b, b = next;
  };
  const auto three = [&](size_t k, int s) {
    const Lanes next = Rotate(a + (b ^ c ^ d) + x[k] + All(0x6ed9eba1), s);
    a = d, d = c, c = b, b = next;
  };
  for (size_t k = 0; k < kWords; k += 4) one(k, 3), one(k + 1, 7), one(k + 2, 11), one(k + 3, 19);
  for (size_t k = 0; k < 4; k++) two(k, 3), two(k + 4, 5), two(k + 8, 9), two(k + 12, 13);
  for (const size_t k : {0, 2, 1, 3}) three(k, 3), three(k + 8, 9), three(k + 4, 11), three(k + 12, 15);
  state.a += a, state.b += b, state.c += c, state.d += d;
}

// `high` is the sum of `low` after each byte.
INLINE void Roll(State& state, const Lanes (&words)[kWords]) {
  for (const Lanes word : words) {
    const Lanes first = word & 255, second = (word >> 8) & 255, third = (word >> 16) & 255, fourth = word >> 24;
    state.high += 4 * state.low + 4 * first + 3 * second + 2 * third + fourth + All(10 * kOffset);
    state.low += first + second + third + fourth + All(4 * kOffset);
  }
}

// The same for blocks that all lie at their own place.
#if defined(__x86_64__)
__attribute__((target_clones("avx2", "default")))
#endif
void SumLanes(const std::array<const uint8_t*, kLanes>& at, size_t length, uint8_t (*sums)[kSumsLength]) {
  State state{All(0x67452301), All(0xefcdab89), All(0x98badcfe), All(0x10325476), All(0), All(0)};
  Lanes words[kWords];
  const size_t whole = length / kStep * kStep;
  for (size_t offset = 0; offset < whole; offset += kStep) {
    Load(at, offset, words);
    Digest(state, words);
    Roll(state, words);
  }
  // The rest, a one bit, zeros, and the length in bits.
  const size_t rest = length - whole;
  const size_t padded = rest + 9 <= kStep ? kStep : 2 * kStep;
  uint8_t ends[kLanes][2 * kStep] = {};
  std::array<const uint8_t*, kLanes> end_at;
  for (size_t lane = 0; lane < kLanes; lane++) {
    std::memcpy(ends[lane], at[lane] + whole, rest);
    ends[lane][rest] = 0x80;
    for (size_t i = 0; i < 8; i++) ends[lane][padded - 8 + i] = static_cast<uint8_t>(uint64_t{length} * 8 >> 8 * i);
    end_at[lane] = ends[lane];
  }
  for (size_t offset = 0; offset < padded; offset += kStep) {
    Load(end_at, offset, words);
    Digest(state, words);
  }
  for (size_t lane = 0; lane < kLanes; lane++) {
    uint32_t low = state.low[lane], high = state.high[lane];
    for (size_t i = 0; i < rest; i++) high += low += ends[lane][i] + kOffset;
    const uint32_t weak = (high & 0xffff) << 16 | (low & 0xffff);
    for (size_t i = 0; i < kWeakLength; i++) sums[lane][i] = static_cast<uint8_t>(weak >> (24 - 8 * i));
    for (size_t i = 0; i < kStrongLength; i++)
      sums[lane][kWeakLength + i] = static_cast<uint8_t>((i < 4 ? state.a : state.b)[lane] >> 8 * (i % 4));
  }
}

}  // namespace

void BlockSums(const uint8_t* bytes, size_t length, size_t count, uint8_t* sums) {
  for (size_t first = 0; first < count; first += kLanes) {
    const size_t used = std::min(kLanes, count - first);
    std::array<const uint8_t*, kLanes> at;
    // Lanes that nobody needs do what the last one does.
    for (size_t lane = 0; lane < kLanes; lane++) at[lane] = bytes + (first + std::min(lane, used - 1)) * length;
    uint8_t lanes[kLanes][kSumsLength];
    SumLanes(at, length, lanes);
    std::memcpy(sums + first * kSumsLength, lanes, used * kSumsLength);
  }
}

// What ISA-L says when it cannot inflate, as an exception.

#pragma once

#include <isa-l/igzip_lib.h>

#include <stdexcept>

// Throws when the stream is damaged: wanting more input, or more room, is none of that.
inline void CheckInflate(int result) {
  switch (result) {
    case ISAL_DECOMP_OK:
    case ISAL_END_INPUT:
    case ISAL_OUT_OVERFLOW:
      return;
    case ISAL_INVALID_BLOCK:
      throw std::runtime_error("invalid block");
    case ISAL_INVALID_SYMBOL:
      throw std::runtime_error("invalid symbol");
    case ISAL_INVALID_LOOKBACK:
      throw std::runtime_error("invalid distance");
    case ISAL_INCORRECT_CHECKSUM:
      throw std::runtime_error("wrong checksum");
    default:
      throw std::runtime_error("invalid header");
  }
}

// For std::unique_ptr: frees what a C library gave by that library's own function.

#pragma once

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};

// Jobs of libuv's thread pool that settle promises.

#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>

using Bytes = Napi::Buffer<uint8_t>;

// Lengths are 32 bits in ISA-L, and an int in OpenSSL.
inline bool IsBytes(const Napi::Value& value) {
  return value.IsBuffer() && value.As<Bytes>().Length() <= 1u << 30;
}

class Work : public Napi::AsyncWorker {
 public:
  // `name` is for Node's diagnostics.
  Work(Napi::Env env, const char* name) : Napi::AsyncWorker(env, name), deferred_(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise Start() {
    const Napi::Promise promise = deferred_.Promise();
    Queue();
    return promise;
  }

  void OnOK() override {
    Done();
    deferred_.Resolve(Result());
  }
  void OnError(const Napi::Error& error) override {
    Done();
    deferred_.Reject(error.Value());
  }

 protected:
  // Both on the main thread, after Execute.
  virtual Napi::Value Result() { return Env().Undefined(); }
  virtual void Done() {}

 private:
  Napi::Promise::Deferred deferred_;
};

// One that makes an output of an input. Both are used in place, so nobody else may use them until the promise settles.
class Conversion : public Work {
 public:
  Conversion(Napi::Env env, const char* name, Bytes input, Bytes output)
      : Work(env, name),
        in_(input.Data()),
        in_length_(input.Length()),
        out_(output.Data()),
        out_length_(output.Length()),
        input_(Napi::Persistent(input)),
        output_(Napi::Persistent(output)) {}

 protected:
  uint8_t* const in_;
  const size_t in_length_;
  uint8_t* const out_;
  const size_t out_length_;
  // Bytes of the output that are written.
  size_t made_ = 0;

 private:
  Napi::Reference<Bytes> input_;
  Napi::Reference<Bytes> output_;
};

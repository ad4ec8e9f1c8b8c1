// A job of libuv's thread pool that settles a promise.

#pragma once

#include <napi.h>

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

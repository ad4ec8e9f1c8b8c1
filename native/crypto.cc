// What OpenSSL does with many bytes, for src/crypto/: on libuv's thread pool. The OpenSSL is the one that Node brings with it.
//
// Exports hash(name: string) -> { update(bytes) -> Promise<void>, digest() -> Buffer }.
// decryptor(key: Buffer, before: Buffer) -> (input, output) -> Promise<void> undoes AES-CFB; `before` are the 16 ciphertext
//   bytes before the input. The output has the input's length, and may be the input itself.
// iterate(name: string, zeros: number, seed: Buffer, count: number) -> Promise<Buffer> is the hash of as many zero octets and then `count`
//   octets of the seed over and over.
//
// Bytes are used in place, so nobody else may change them until the promise settles. One call at a time for each object.

#include <napi.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "openssl.h"
#include "work.h"

namespace {

class Hash {
 public:
  explicit Hash(const std::string& name) {
    const EVP_MD* kind = EVP_get_digestbyname(name.c_str());
    if (!kind) throw std::runtime_error("OpenSSL knows no hash " + name);
    context_ = NewHash(kind);
  }
  void Update(const uint8_t* bytes, size_t length) { CheckOpenSsl(EVP_DigestUpdate(context_.get(), bytes, length)); }
  std::vector<uint8_t> Digest() { return Finish(context_.get()); }

 private:
  HashContext context_;
};

// `held` are the JavaScript values that it works on.
class Job : public Work {
 public:
  Job(Napi::Env env, std::vector<Napi::Value> held, std::function<std::vector<uint8_t>()> work, std::shared_ptr<bool> busy)
      : Work(env, "tsdup:crypto"), work_(std::move(work)), busy_(std::move(busy)) {
    for (const Napi::Value& value : held) held_.push_back(Napi::Persistent(value.As<Napi::Object>()));
    *busy_ = true;
  }

  void Execute() override { result_ = work_(); }

 protected:
  void Done() override { *busy_ = false; }
  Napi::Value Result() override { return Bytes::Copy(Env(), result_.data(), result_.size()); }

 private:
  std::vector<Napi::ObjectReference> held_;
  std::function<std::vector<uint8_t>()> work_;
  std::shared_ptr<bool> busy_;
  std::vector<uint8_t> result_;
};

void Require(Napi::Env env, bool holds, const char* message) {
  if (!holds) throw Napi::TypeError::New(env, message);
}

Napi::Value MakeHash(const Napi::CallbackInfo& info) {
  Require(info.Env(), info[0].IsString(), "hash(name: string)");
  std::shared_ptr<Hash> hash;
  try {
    hash = std::make_shared<Hash>(info[0].As<Napi::String>());
  } catch (const std::exception& error) {
    throw Napi::Error::New(info.Env(), error.what());
  }
  auto busy = std::make_shared<bool>(false);
  auto object = Napi::Object::New(info.Env());
  object.Set("update", Napi::Function::New(info.Env(), [hash, busy](const Napi::CallbackInfo& call) -> Napi::Value {
    Require(call.Env(), IsBytes(call[0]) && !*busy, "update(bytes: Buffer), at most 1 GiB and one at a time");
    const auto bytes = call[0].As<Bytes>();
    auto update = [hash, data = bytes.Data(), length = bytes.Length()] {
      hash->Update(data, length);
      return std::vector<uint8_t>();
    };
    return (new Job(call.Env(), {bytes}, update, busy))->Start();
  }));
  object.Set("digest", Napi::Function::New(info.Env(), [hash, busy](const Napi::CallbackInfo& call) -> Napi::Value {
    Require(call.Env(), !*busy, "digest(): an update is at work");
    const std::vector<uint8_t> digest = hash->Digest();
    return Bytes::Copy(call.Env(), digest.data(), digest.size());
  }));
  return object;
}

Napi::Value MakeDecryptor(const Napi::CallbackInfo& info) {
  const bool fits = info[0].IsBuffer() && info[1].IsBuffer() && info[1].As<Bytes>().Length() == CfbDecryptor::kBlock;
  Require(info.Env(), fits, "decryptor(key: Buffer, before: Buffer of 16 bytes)");
  const auto key = info[0].As<Bytes>();
  const size_t length = key.Length();
  Require(info.Env(), length == 16 || length == 24 || length == 32, "decryptor: a key of 16, 24 or 32 bytes");
  auto decryptor = std::make_shared<CfbDecryptor>(key.Data(), length, info[1].As<Bytes>().Data());
  auto busy = std::make_shared<bool>(false);
  return Napi::Function::New(info.Env(), [decryptor, busy](const Napi::CallbackInfo& call) -> Napi::Value {
    Require(call.Env(), IsBytes(call[0]) && IsBytes(call[1]) && !*busy, "decrypt(input, output), one at a time");
    const auto input = call[0].As<Bytes>();
    const auto output = call[1].As<Bytes>();
    Require(call.Env(), input.Length() == output.Length(), "decrypt(input, output), of the same length");
    auto decrypt = [decryptor, in = input.Data(), out = output.Data(), length = input.Length()] {
      decryptor->Run(in, out, length);
      return std::vector<uint8_t>();
    };
    return (new Job(call.Env(), {input, output}, decrypt, busy))->Start();
  });
}

Napi::Value Iterate(const Napi::CallbackInfo& info) {
  const bool fits = info[0].IsString() && info[1].IsNumber() && info[2].IsBuffer() && info[3].IsNumber();
  Require(info.Env(), fits, "iterate(name: string, zeros: number, seed: Buffer, count: number)");
  const auto bytes = info[2].As<Bytes>();
  const auto count = static_cast<size_t>(info[3].As<Napi::Number>().Int64Value());
  const std::vector<uint8_t> seed(bytes.Data(), bytes.Data() + bytes.Length());
  Require(info.Env(), count == 0 || !seed.empty(), "iterate: there is no seed");
  auto iterate = [name = std::string(info[0].As<Napi::String>()),
                  zeros = static_cast<size_t>(info[1].As<Napi::Number>().Uint32Value()), seed, count] {
    Hash hash(name);
    const std::vector<uint8_t> before(zeros);
    hash.Update(before.data(), before.size());
    // Seeds are short: a call for each would take longer than hashing it.
    std::vector<uint8_t> many;
    while (many.size() < std::min<size_t>(count, 64 << 10)) many.insert(many.end(), seed.begin(), seed.end());
    for (size_t done = 0; done < count; done += many.size()) hash.Update(many.data(), std::min(many.size(), count - done));
    return hash.Digest();
  };
  return (new Job(info.Env(), {}, iterate, std::make_shared<bool>(false)))->Start();
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("hash", Napi::Function::New(env, MakeHash, "hash"));
  exports.Set("decryptor", Napi::Function::New(env, MakeDecryptor, "decryptor"));
  exports.Set("iterate", Napi::Function::New(env, Iterate, "iterate"));
  return exports;
}

}  // namespace

NODE_API_MODULE(crypto, Init)

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
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "freer.h"

namespace {

using Bytes = Napi::Buffer<uint8_t>;

constexpr size_t kBlock = 16;

using HashContext = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>>;
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, Freer<EVP_CIPHER_CTX_free>>;

void Check(int result) {
  if (result != 1) throw std::runtime_error("OpenSSL refuses");
}

class Hash {
 public:
  explicit Hash(const std::string& name) : context_(EVP_MD_CTX_new()) {
    const EVP_MD* kind = EVP_get_digestbyname(name.c_str());
    if (!kind) throw std::runtime_error("OpenSSL knows no hash " + name);
    Check(EVP_DigestInit_ex(context_.get(), kind, nullptr));
  }
  void Update(const uint8_t* bytes, size_t length) { Check(EVP_DigestUpdate(context_.get(), bytes, length)); }
  std::vector<uint8_t> Digest() {
    std::vector<uint8_t> digest(EVP_MAX_MD_SIZE);
    unsigned int length = 0;
    Check(EVP_DigestFinal_ex(context_.get(), digest.data(), &length));
    digest.resize(length);
    return digest;
  }

 private:
  HashContext context_;
};

// OpenSSL's own CFB takes a block at a time, 0.6 GB/s; what it decrypts with is the encrypted ciphertext of one block before, and
// many blocks at once are encrypted ten times as fast.
class Decryptor {
 public:
  Decryptor(const uint8_t* key, size_t key_length, const uint8_t* before) : context_(EVP_CIPHER_CTX_new()) {
    const EVP_CIPHER* kind = key_length == 16 ? EVP_aes_128_ecb() : key_length == 24 ? EVP_aes_192_ecb() : EVP_aes_256_ecb();
    Check(EVP_EncryptInit_ex(context_.get(), kind, nullptr, key, nullptr));
    Check(EVP_CIPHER_CTX_set_padding(context_.get(), 0));
    std::copy(before, before + kBlock, before_.begin());
  }

  void Run(const uint8_t* in, uint8_t* out, size_t length) {
    size_t at = 0;
    while (used_ != 0 && at < length) at = One(in, out, at);
    while (length - at >= kBlock) {
      const size_t now = std::min((length - at) / kBlock * kBlock, sizeof room_);
      std::copy(before_.begin(), before_.end(), room_);
      std::copy(in + at, in + at + now - kBlock, room_ + kBlock);
      std::copy(in + at + now - kBlock, in + at + now, before_.begin());
      Encrypt(now);
      for (size_t i = 0; i < now; i++) out[at + i] = in[at + i] ^ room_[i];
      at += now;
    }
    while (at < length) at = One(in, out, at);
  }

 private:
  // Of a block that goes on in the next input.
  size_t One(const uint8_t* in, uint8_t* out, size_t at) {
    if (used_ == 0) {
      std::copy(before_.begin(), before_.end(), room_);
      Encrypt(kBlock);
      std::copy(room_, room_ + kBlock, pad_.begin());
    }
    before_[used_] = in[at];
    out[at] = in[at] ^ pad_[used_];
    used_ = (used_ + 1) % kBlock;
    return at + 1;
  }
  void Encrypt(size_t length) {
    int made = 0;
    Check(EVP_EncryptUpdate(context_.get(), room_, &made, room_, static_cast<int>(length)));
    if (static_cast<size_t>(made) != length) throw std::runtime_error("OpenSSL keeps bytes back");
  }

  CipherContext context_;
  // The ciphertext block before, and of the block that is not complete what it is decrypted with.
  std::array<uint8_t, kBlock> before_;
  std::array<uint8_t, kBlock> pad_;
  size_t used_ = 0;
  uint8_t room_[16 << 10];
};

// A job of the thread pool. `held` are the JavaScript values that it works on.
class Work : public Napi::AsyncWorker {
 public:
  Work(Napi::Env env, std::vector<Napi::Value> held, std::function<std::vector<uint8_t>()> work, std::shared_ptr<bool> busy)
      : Napi::AsyncWorker(env, "tsdup:crypto"),
        deferred_(Napi::Promise::Deferred::New(env)),
        work_(std::move(work)),
        busy_(std::move(busy)) {
    for (const Napi::Value& value : held) held_.push_back(Napi::Persistent(value.As<Napi::Object>()));
  }

  Napi::Promise Start() {
    const Napi::Promise promise = deferred_.Promise();
    *busy_ = true;
    Queue();
    return promise;
  }

  void Execute() override { result_ = work_(); }
  void OnOK() override {
    *busy_ = false;
    deferred_.Resolve(Bytes::Copy(Env(), result_.data(), result_.size()));
  }
  void OnError(const Napi::Error& error) override {
    *busy_ = false;
    deferred_.Reject(error.Value());
  }

 private:
  Napi::Promise::Deferred deferred_;
  std::vector<Napi::ObjectReference> held_;
  std::function<std::vector<uint8_t>()> work_;
  std::shared_ptr<bool> busy_;
  std::vector<uint8_t> result_;
};

// OpenSSL counts in int.
bool IsBytes(Napi::Value value) { return value.IsBuffer() && value.As<Bytes>().Length() <= 1u << 30; }

void Require(Napi::Env env, bool holds, const char* message) {
  if (!holds) throw Napi::TypeError::New(env, message);
}

Napi::Value NewHash(const Napi::CallbackInfo& info) {
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
    return (new Work(call.Env(), {bytes}, update, busy))->Start();
  }));
  object.Set("digest", Napi::Function::New(info.Env(), [hash, busy](const Napi::CallbackInfo& call) -> Napi::Value {
    Require(call.Env(), !*busy, "digest(): an update is at work");
    const std::vector<uint8_t> digest = hash->Digest();
    return Bytes::Copy(call.Env(), digest.data(), digest.size());
  }));
  return object;
}

Napi::Value NewDecryptor(const Napi::CallbackInfo& info) {
  const bool fits = info[0].IsBuffer() && info[1].IsBuffer() && info[1].As<Bytes>().Length() == kBlock;
  Require(info.Env(), fits, "decryptor(key: Buffer, before: Buffer of 16 bytes)");
  const auto key = info[0].As<Bytes>();
  const size_t length = key.Length();
  Require(info.Env(), length == 16 || length == 24 || length == 32, "decryptor: a key of 16, 24 or 32 bytes");
  auto decryptor = std::make_shared<Decryptor>(key.Data(), length, info[1].As<Bytes>().Data());
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
    return (new Work(call.Env(), {input, output}, decrypt, busy))->Start();
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
  return (new Work(info.Env(), {}, iterate, std::make_shared<bool>(false)))->Start();
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("hash", Napi::Function::New(env, NewHash, "hash"));
  exports.Set("decryptor", Napi::Function::New(env, NewDecryptor, "decryptor"));
  exports.Set("iterate", Napi::Function::New(env, Iterate, "iterate"));
  return exports;
}

}  // namespace

NODE_API_MODULE(crypto, Init)

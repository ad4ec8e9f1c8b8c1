// What is done to the bytes of a volume on their way to the target and back, for src/frames/: on libuv's thread pool.
//
// Exports pack(input, output, form: 'part' | 'end' | 'gzip', tarOffset) -> Promise<{ length: number, digest: Buffer }> deflates
//   all of the input on its own with ISA-L: up to a full flush, to the end of the stream, or as a gzip member. `length` bytes
//   of the output are written; the digest is the SHA-256 of the input from tarOffset on.
// unpack(…) undoes it: unpack.cc.
// sealer(key: Buffer) -> (bytes) -> Promise<void> adds bytes to a SHA-1 and then encrypts them in place: AES-256-CFB, whose
//   initialization vector is zero. The key has 32 bytes. sealer.digest() -> Buffer is the SHA-1 of the bytes so far.
// sha1() -> the same without encryption.
//
// All is used in place, so nobody else may use it until the promise settles. One call at a time.

#include <isa-l/igzip_lib.h>
#include <napi.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "keep-memory.h"
#include "openssl.h"
#include "unpack.h"
#include "work.h"

namespace {

constexpr size_t kKeyLength = 32;
// ISA-L's. On the Linux tree in frames of 1 MiB: level 1 570 MB/s to 29.1 %, 2 550 MB/s to 28.4 %, 3 300 MB/s to 27.6 %;
// zlib's level 4 65 MB/s to 26.4 %.
constexpr uint32_t kLevel = 2;
constexpr size_t kLevelLength = ISAL_DEF_LVL2_EXTRA_LARGE;

class Pack : public Conversion {
 public:
  Pack(Napi::Env env, Bytes input, Bytes output, bool end, bool gzip, size_t tar_offset)
      : Conversion(env, "tsdup:frames", input, output),
        end_(end),
        gzip_(gzip),
        tar_offset_(tar_offset) {}

  void Execute() override {
    digest_ = Sha256(in_ + tar_offset_, in_length_ - tar_offset_);
    thread_local std::vector<uint8_t> level(kLevelLength);
    isal_zstream stream;
    isal_deflate_stateless_init(&stream);
    stream.level = kLevel;
    stream.level_buf = level.data();
    stream.level_buf_size = static_cast<uint32_t>(level.size());
    stream.gzip_flag = gzip_ ? IGZIP_GZIP : IGZIP_DEFLATE;
    stream.end_of_stream = end_;
    stream.flush = end_ ? NO_FLUSH : FULL_FLUSH;
    stream.next_in = in_;
    stream.avail_in = static_cast<uint32_t>(in_length_);
    stream.next_out = out_;
    stream.avail_out = static_cast<uint32_t>(out_length_);
    const int result = isal_deflate_stateless(&stream);
    if (result != COMP_OK || stream.avail_in > 0)
      throw std::runtime_error("ISA-L does not compress (" + std::to_string(result) + ")");
    made_ = out_length_ - stream.avail_out;
  }

 protected:
  Napi::Value Result() override {
    auto result = Napi::Object::New(Env());
    result.Set("length", Napi::Number::New(Env(), static_cast<double>(made_)));
    result.Set("digest", Bytes::Copy(Env(), digest_.data(), digest_.size()));
    return result;
  }

 private:
  bool end_;
  bool gzip_;
  size_t tar_offset_;
  std::vector<uint8_t> digest_;
};

// Used by one thread at a time: `busy` belongs to the main thread and sees to it.
struct Stream {
  HashContext hash = NewHash(EVP_sha1());
  CipherContext cipher;
  bool busy = false;
};

class Run : public Work {
 public:
  Run(Napi::Env env, std::shared_ptr<Stream> stream, Bytes bytes)
      : Work(env, "tsdup:frames"),
        stream_(std::move(stream)),
        held_(Napi::Persistent(bytes)),
        bytes_(bytes.Data()),
        length_(bytes.Length()) {}

  void Execute() override {
    CheckOpenSsl(EVP_DigestUpdate(stream_->hash.get(), bytes_, length_));
    if (!stream_->cipher) return;
    int made = 0;
    CheckOpenSsl(EVP_EncryptUpdate(stream_->cipher.get(), bytes_, &made, bytes_, static_cast<int>(length_)));
    if (static_cast<size_t>(made) != length_) throw std::runtime_error("OpenSSL keeps bytes back");
  }

 protected:
  void Done() override { stream_->busy = false; }

 private:
  std::shared_ptr<Stream> stream_;
  Napi::Reference<Bytes> held_;
  uint8_t* bytes_;
  size_t length_;
};

Napi::Value NewPack(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!IsBytes(info[0]) || !IsBytes(info[1]) || !info[2].IsString() || !info[3].IsNumber())
    throw Napi::TypeError::New(env, "pack(input: Buffer, output: Buffer, form: string, tarOffset: number)");
  const auto input = info[0].As<Bytes>();
  const std::string form = info[2].As<Napi::String>();
  const int64_t tar_offset = info[3].As<Napi::Number>().Int64Value();
  if (tar_offset < 0 || static_cast<size_t>(tar_offset) > input.Length())
    throw Napi::RangeError::New(env, "pack: the tar begins outside of the input");
  auto* work = new Pack(env, input, info[1].As<Bytes>(), form != "part", form == "gzip", static_cast<size_t>(tar_offset));
  return work->Start();
}

Napi::Value RunOf(Napi::Env env, std::shared_ptr<Stream> stream) {
  auto run = Napi::Function::New(env, [stream](const Napi::CallbackInfo& info) -> Napi::Value {
    if (!IsBytes(info[0])) throw Napi::TypeError::New(info.Env(), "run(bytes: Buffer), at most 1 GiB");
    if (stream->busy) throw Napi::Error::New(info.Env(), "The bytes before are still at work");
    stream->busy = true;
    return (new Run(info.Env(), stream, info[0].As<Bytes>()))->Start();
  });
  run.Set("digest", Napi::Function::New(env, [stream](const Napi::CallbackInfo& info) -> Napi::Value {
    if (stream->busy) throw Napi::Error::New(info.Env(), "The bytes before are still at work");
    // A copy ends here: more bytes may follow.
    const HashContext copy(EVP_MD_CTX_new());
    CheckOpenSsl(EVP_MD_CTX_copy_ex(copy.get(), stream->hash.get()));
    const std::vector<uint8_t> digest = Finish(copy.get());
    return Bytes::Copy(info.Env(), digest.data(), digest.size());
  }));
  return run;
}

Napi::Value NewSealer(const Napi::CallbackInfo& info) {
  if (!info[0].IsBuffer() || info[0].As<Bytes>().Length() != kKeyLength)
    throw Napi::TypeError::New(info.Env(), "sealer(key: Buffer), 32 bytes");
  auto stream = std::make_shared<Stream>();
  const uint8_t zeros[16] = {};
  stream->cipher.reset(EVP_CIPHER_CTX_new());
  CheckOpenSsl(EVP_EncryptInit_ex(stream->cipher.get(), EVP_aes_256_cfb128(), nullptr, info[0].As<Bytes>().Data(), zeros));
  return RunOf(info.Env(), std::move(stream));
}

Napi::Value NewSha1(const Napi::CallbackInfo& info) { return RunOf(info.Env(), std::make_shared<Stream>()); }

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  KeepMemory();
  exports.Set("pack", Napi::Function::New(env, NewPack, "pack"));
  exports.Set("unpack", Napi::Function::New(env, NewUnpack, "unpack"));
  exports.Set("sealer", Napi::Function::New(env, NewSealer, "sealer"));
  exports.Set("sha1", Napi::Function::New(env, NewSha1, "sha1"));
  return exports;
}

}  // namespace

NODE_API_MODULE(frames, Init)

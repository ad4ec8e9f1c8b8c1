// From a frame as it is stored to its tar bytes, in one job: what one step made is still in the processor's cache for the next.
//
// unpack(input, output, key: Buffer | null, runs: number[], skip, tarLength) -> Promise<{ made: number, digest: Buffer }>
//   With a key of AES-256, what lies between each two of `runs` are put together: 16 bytes of ciphertext that CFB begins with, then the
//   ciphertext, of whose plaintext all but the first `skip` bytes are a run of DEFLATE. Without a key the input is a gzip member.
//   `made` bytes of the output are written; the digest is the SHA-256 of the last `tarLength` of them.
//
// Both buffers are used in place, so nobody else may use them until the promise settles.

#include "unpack.h"

#include <isa-l/igzip_lib.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "isal-errors.h"
#include "openssl.h"
#include "work.h"

namespace {

using Runs = std::vector<std::pair<size_t, size_t>>;

constexpr size_t kKeyLength = 32;

struct Frame {
  // Empty: not encrypted.
  std::vector<uint8_t> key;
  Runs runs;
  size_t skip;
  size_t tar_length;
};

class Unpack : public Conversion {
 public:
  Unpack(Napi::Env env, Bytes input, Bytes output, Frame frame)
      : Conversion(env, "tsdup:unpack", input, output), frame_(std::move(frame)) {}

  void Execute() override {
    if (frame_.key.empty()) {
      Inflate(in_, in_length_, ISAL_GZIP);
    } else {
      // Kept from job to job: fresh memory takes longer to get than to fill.
      thread_local std::vector<uint8_t> room;
      room.clear();
      for (const auto& [from, to] : frame_.runs) room.insert(room.end(), in_ + from, in_ + to);
      const size_t lead = CfbDecryptor::kBlock + frame_.skip;
      if (room.size() < lead) throw std::runtime_error("too few bytes");
      uint8_t* const ciphertext = room.data() + CfbDecryptor::kBlock;
      CfbDecryptor(frame_.key.data(), frame_.key.size(), room.data())
          .Run(ciphertext, ciphertext, room.size() - CfbDecryptor::kBlock);
      Inflate(room.data() + lead, room.size() - lead, ISAL_DEFLATE);
    }
    const size_t digested = std::min(made_, frame_.tar_length);
    digest_ = Sha256(out_ + made_ - digested, digested);
  }

 protected:
  Napi::Value Result() override {
    auto result = Napi::Object::New(Env());
    result.Set("made", Napi::Number::New(Env(), static_cast<double>(made_)));
    result.Set("digest", Bytes::Copy(Env(), digest_.data(), digest_.size()));
    return result;
  }

 private:
  void Inflate(uint8_t* in, size_t length, uint32_t format) {
    thread_local inflate_state state;
    isal_inflate_init(&state);
    state.crc_flag = format;
    state.next_in = in;
    state.avail_in = static_cast<uint32_t>(length);
    state.next_out = out_;
    state.avail_out = static_cast<uint32_t>(out_length_);
    CheckInflate(isal_inflate_stateless(&state));
    made_ = state.total_out;
  }

  Frame frame_;
  std::vector<uint8_t> digest_;
};

// Pairs of where a run begins and ends, each within the input.
Runs RunsOf(Napi::Env env, const Napi::Array& list, size_t length) {
  Runs runs;
  for (uint32_t i = 0; i + 1 < list.Length(); i += 2) {
    const int64_t from = list.Get(i).As<Napi::Number>().Int64Value();
    const int64_t to = list.Get(i + 1).As<Napi::Number>().Int64Value();
    if (from < 0 || from > to || static_cast<size_t>(to) > length)
      throw Napi::RangeError::New(env, "unpack: a run outside of the input");
    runs.emplace_back(from, to);
  }
  return runs;
}

}  // namespace

Napi::Value NewUnpack(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const bool is_key = info[2].IsNull() || (info[2].IsBuffer() && info[2].As<Bytes>().Length() == kKeyLength);
  if (!IsBytes(info[0]) || !IsBytes(info[1]) || !is_key || !info[3].IsArray() || !info[4].IsNumber() || !info[5].IsNumber())
    throw Napi::TypeError::New(env, "unpack(input, output, key: Buffer | null, runs: number[], skip, tarLength)");
  const auto input = info[0].As<Bytes>();
  Frame frame{{},
              RunsOf(env, info[3].As<Napi::Array>(), input.Length()),
              info[4].As<Napi::Number>().Uint32Value(),
              info[5].As<Napi::Number>().Uint32Value()};
  if (!info[2].IsNull()) frame.key.assign(info[2].As<Bytes>().Data(), info[2].As<Bytes>().Data() + kKeyLength);
  return (new Unpack(env, input, info[1].As<Bytes>(), std::move(frame)))->Start();
}

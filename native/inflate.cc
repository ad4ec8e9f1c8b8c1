// Inflating with ISA-L for src/inflate/: on libuv's thread pool, and with a state that can be put away and taken up again.
//
// Exports inflater(zlib: boolean, state: Buffer | null) -> { run, mark }.
//   run(input, output) -> Promise<{ made: number, taken: number, ended: boolean, crc: number }> inflates until the output is
//     full, or the input is used up, or the stream is at its end. `made` bytes of the output are written, `taken` bytes of the input are done with;
//     `crc` is the CRC-32 of all that was made since the inflater was, or since the last mark.
//     Both are used in place, so nobody else may use them until the promise settles.
//   mark() -> Promise<Buffer> is the state between two calls of run: an inflater that is made of it goes on from here.
// One call at a time. `zlib` counts only where there is no state.

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <napi.h>

#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "isal-errors.h"
#include "keep-memory.h"
#include "work.h"

namespace {

// Used by one thread at a time: `busy` belongs to the main thread and sees to it.
struct Inflater {
  inflate_state state;
  uint32_t crc = 0;
  bool busy = false;
};

void Begin(inflate_state& state, bool zlib) {
  // isal_inflate_init leaves buffers as they are, and a mark writes all of the state down.
  std::memset(&state, 0, sizeof state);
  isal_inflate_init(&state);
  state.crc_flag = zlib ? ISAL_ZLIB : ISAL_DEFLATE;
}

bool InRange(int32_t value, size_t limit) { return value >= 0 && static_cast<size_t>(value) <= limit; }

std::vector<uint8_t> Save(const inflate_state& current) {
  auto state = std::make_unique<inflate_state>(current);
  state->next_in = state->next_out = nullptr;
  state->avail_in = state->avail_out = 0;
  const size_t valid = static_cast<size_t>(state->tmp_out_valid);
  std::memset(state->tmp_out_buffer + valid, 0, sizeof state->tmp_out_buffer - valid);
  std::vector<uint8_t> level(ISAL_DEF_LVL1_DEFAULT);
  std::vector<uint8_t> saved(2 * sizeof(inflate_state));
  isal_zstream stream;
  isal_deflate_stateless_init(&stream);
  stream.level = 1;
  stream.level_buf = level.data();
  stream.level_buf_size = static_cast<uint32_t>(level.size());
  stream.end_of_stream = 1;
  stream.next_in = reinterpret_cast<uint8_t*>(state.get());
  stream.avail_in = sizeof *state;
  stream.next_out = saved.data();
  stream.avail_out = static_cast<uint32_t>(saved.size());
  if (isal_deflate_stateless(&stream) != COMP_OK) throw std::runtime_error("cannot save the state");
  saved.resize(stream.total_out);
  return saved;
}

// The caller has made sure that these are bytes that Save made: a struct is not proof against forgery.
void Restore(inflate_state& state, const uint8_t* bytes, size_t length) {
  auto unpack = std::make_unique<inflate_state>();
  isal_inflate_init(unpack.get());
  unpack->next_in = const_cast<uint8_t*>(bytes);
  unpack->avail_in = static_cast<uint32_t>(length);
  unpack->next_out = reinterpret_cast<uint8_t*>(&state);
  unpack->avail_out = sizeof state;
  const bool whole = isal_inflate_stateless(unpack.get()) == ISAL_DECOMP_OK && unpack->total_out == sizeof state;
  if (!whole || !InRange(state.tmp_out_valid, sizeof state.tmp_out_buffer) ||
      !InRange(state.tmp_out_processed, static_cast<size_t>(state.tmp_out_valid)) ||
      !InRange(state.tmp_in_size, sizeof state.tmp_in_buffer))
    throw std::runtime_error("not the state of an inflater");
}

class Run : public Conversion {
 public:
  Run(Napi::Env env, std::shared_ptr<Inflater> inflater, Bytes input, Bytes output)
      : Conversion(env, "tsdup:inflate", input, output), inflater_(std::move(inflater)) {
    inflater_->busy = true;
  }

  void Execute() override {
    inflate_state& state = inflater_->state;
    state.next_in = in_;
    state.avail_in = static_cast<uint32_t>(in_length_);
    state.next_out = out_;
    state.avail_out = static_cast<uint32_t>(out_length_);
    CheckInflate(isal_inflate(&state));
    made_ = out_length_ - state.avail_out;
    inflater_->crc = crc32_gzip_refl(inflater_->crc, out_, made_);
    ended_ = state.block_state == ISAL_BLOCK_FINISH && state.tmp_out_valid == state.tmp_out_processed;
    taken_ = in_length_ - state.avail_in;
    // What was read ahead behind the end is not the stream's.
    if (ended_ && state.read_in_length > 0) {
      const size_t ahead = static_cast<size_t>(state.read_in_length) / 8;
      taken_ -= ahead < taken_ ? ahead : taken_;
    }
  }

 protected:
  Napi::Value Result() override {
    auto result = Napi::Object::New(Env());
    result.Set("made", Napi::Number::New(Env(), static_cast<double>(made_)));
    result.Set("taken", Napi::Number::New(Env(), static_cast<double>(taken_)));
    result.Set("crc", Napi::Number::New(Env(), inflater_->crc));
    result.Set("ended", Napi::Boolean::New(Env(), ended_));
    return result;
  }
  void Done() override { inflater_->busy = false; }

 private:
  std::shared_ptr<Inflater> inflater_;
  size_t taken_ = 0;
  bool ended_ = false;
};

class Mark : public Work {
 public:
  Mark(Napi::Env env, std::shared_ptr<Inflater> inflater) : Work(env, "tsdup:inflate"), inflater_(std::move(inflater)) {
    inflater_->busy = true;
  }

  void Execute() override {
    saved_ = Save(inflater_->state);
    inflater_->crc = 0;
  }

 protected:
  Napi::Value Result() override { return Bytes::Copy(Env(), saved_.data(), saved_.size()); }
  void Done() override { inflater_->busy = false; }

 private:
  std::shared_ptr<Inflater> inflater_;
  std::vector<uint8_t> saved_;
};

void CheckIdle(Napi::Env env, const Inflater& inflater) {
  if (inflater.busy) throw Napi::Error::New(env, "The inflater is still at work");
}

Napi::Value NewInflater(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (info.Length() != 2 || !info[0].IsBoolean() || !(info[1].IsBuffer() || info[1].IsNull()))
    throw Napi::TypeError::New(env, "inflater(zlib: boolean, state: Buffer | null)");
  auto inflater = std::make_shared<Inflater>();
  if (info[1].IsNull()) {
    Begin(inflater->state, info[0].As<Napi::Boolean>());
  } else {
    const auto state = info[1].As<Bytes>();
    try {
      Restore(inflater->state, state.Data(), state.Length());
    } catch (const std::exception& error) {
      throw Napi::Error::New(env, error.what());
    }
  }
  auto result = Napi::Object::New(env);
  result.Set("run", Napi::Function::New(env, [inflater](const Napi::CallbackInfo& call) -> Napi::Value {
    if (!IsBytes(call[0]) || !IsBytes(call[1]))
      throw Napi::TypeError::New(call.Env(), "run(input: Buffer, output: Buffer), both at most 1 GiB");
    CheckIdle(call.Env(), *inflater);
    return (new Run(call.Env(), inflater, call[0].As<Bytes>(), call[1].As<Bytes>()))->Start();
  }));
  result.Set("mark", Napi::Function::New(env, [inflater](const Napi::CallbackInfo& call) -> Napi::Value {
    CheckIdle(call.Env(), *inflater);
    return (new Mark(call.Env(), inflater))->Start();
  }));
  return result;
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  KeepMemory();
  exports.Set("inflater", Napi::Function::New(env, NewInflater, "inflater"));
  return exports;
}

}  // namespace

NODE_API_MODULE(inflate, Init)

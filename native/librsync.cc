// Signatures and deltas for src/rsync/, computed on libuv's thread pool.
//
// Exports readFiles(paths, facts, output, flags) -> Promise<{ read: Buffer, signatures: Buffer }>: reads several small files and
// makes their signatures in one go: a call for each would cost more than the work itself.
//   paths: one after the other, each ended by a NUL. flags: for open(2).
//   facts: a Float64Array, for each file: size, mtime in s, its ns, mode with the file's type, uid, gid, block length.
//   output: takes the contents, each followed by one byte to spare.
//   read: one byte for each file: 0 unless what was opened is the file that the facts tell of, and was read whole; then 1, or 2
//     when it has, or may have, extended attributes.
//   signatures: of these files, one after the other.
//
// And two makers of jobs, signatureJob(blockLength) and deltaJob(signature). Both return a function
// run(chunk, last) -> Promise<Buffer> that feeds the next bytes of a file and resolves to the output so far
// available. A job is worked on by one thread at a time: run throws while an earlier call is not settled, and
// after the last call or a failure. The chunk is read in place, so it must not change until the promise settles.

#include <fcntl.h>
#include <librsync.h>
#include <napi.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rsync-jobs.h"

namespace {

// One call of run(). Holds the job and the chunk, so neither can be collected under the thread's feet.
class Work : public Napi::AsyncWorker {
 public:
  Work(Napi::Env env, std::shared_ptr<Job> job, Napi::Buffer<char> chunk, bool last)
      : Napi::AsyncWorker(env, "tsdup:librsync"),
        deferred_(Napi::Promise::Deferred::New(env)),
        job_(std::move(job)),
        chunk_(Napi::Persistent(chunk)),
        bytes_(chunk.Data()),
        length_(chunk.Length()),
        last_(last) {}

  Napi::Promise Promise() const { return deferred_.Promise(); }

  void Execute() override { out_ = job_->Run(bytes_, length_, last_); }

  void OnOK() override {
    job_->state = last_ ? Job::State::kEnded : Job::State::kIdle;
    deferred_.Resolve(Napi::Buffer<char>::Copy(Env(), out_.data(), out_.size()));
  }

  void OnError(const Napi::Error& error) override {
    job_->state = Job::State::kEnded;
    deferred_.Reject(error.Value());
  }

 private:
  Napi::Promise::Deferred deferred_;
  std::shared_ptr<Job> job_;
  Napi::Reference<Napi::Buffer<char>> chunk_;
  const char* bytes_;
  size_t length_;
  bool last_;
  std::vector<char> out_;
};

// What a file must be to be the one that was seen; in this order in `facts`.
struct Facts {
  double size, seconds, nanoseconds, mode, uid, gid, block_length;
};

// Files with holes are left to those who ask how large these are. Compressing file systems take less room for others, too.
bool HasHole(int fd, const struct stat& found) {
  if (found.st_blocks * 512 >= found.st_size) return false;
  const off_t hole = lseek(fd, 0, SEEK_HOLE);
  return (hole >= 0 && hole < found.st_size) || lseek(fd, 0, SEEK_SET) != 0;
}

bool Fits(const struct stat& found, const Facts& facts) {
  return static_cast<double>(found.st_size) == facts.size && static_cast<double>(found.st_mtim.tv_sec) == facts.seconds &&
         static_cast<double>(found.st_mtim.tv_nsec) == facts.nanoseconds && static_cast<double>(found.st_mode) == facts.mode &&
         static_cast<double>(found.st_uid) == facts.uid && static_cast<double>(found.st_gid) == facts.gid;
}

// In `read`.
enum Reading : uint8_t { kNot, kPlain, kWithXattrs };

// Whether the file was there as it was seen, and all of it was read. There is room for one byte more, which shows that it grew.
Reading ReadWhole(const char* path, int flags, const Facts& facts, char* output) {
  const int fd = open(path, flags | O_CLOEXEC);
  if (fd < 0) return kNot;
  struct stat found;
  const size_t size = static_cast<size_t>(facts.size);
  size_t filled = 0;
  bool fits = fstat(fd, &found) == 0 && Fits(found, facts) && !HasHole(fd, found);
  while (fits && filled <= size) {
    const ssize_t count = read(fd, output + filled, size + 1 - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      fits = count == 0;
      break;
    }
    filled += static_cast<size_t>(count);
  }
  const bool plain = flistxattr(fd, nullptr, 0) == 0;
  close(fd);
  if (!fits || filled != size) return kNot;
  return plain ? kPlain : kWithXattrs;
}

// One call of readFiles(). Holds what it is given, so it cannot be collected under the thread's feet.
class ReadFiles : public Napi::AsyncWorker {
 public:
  ReadFiles(Napi::Env env, Napi::Buffer<char> paths, Napi::Float64Array facts, Napi::Buffer<char> output, int flags)
      : Napi::AsyncWorker(env, "tsdup:readFiles"),
        deferred_(Napi::Promise::Deferred::New(env)),
        held_paths_(Napi::Persistent(paths)),
        held_output_(Napi::Persistent(output)),
        paths_(paths.Data(), paths.Length()),
        output_(output.Data()),
        flags_(flags) {
    const auto* all = reinterpret_cast<const Facts*>(facts.Data());
    facts_.assign(all, all + facts.ElementLength() / kNumbers);
  }

  static constexpr size_t kNumbers = sizeof(Facts) / sizeof(double);

  Napi::Promise Promise() const { return deferred_.Promise(); }

  void Execute() override {
    const char* path = paths_.data();
    char* at = output_;
    for (const Facts& facts : facts_) {
      const Reading reading = ReadWhole(path, flags_, facts, at);
      const auto size = static_cast<size_t>(facts.size);
      if (reading != kNot) {
        SignatureJob job(static_cast<size_t>(facts.block_length));
        const std::vector<char> signature = job.Run(at, size, true);
        signatures_.insert(signatures_.end(), signature.begin(), signature.end());
      }
      read_.push_back(reading);
      path += strlen(path) + 1;
      at += size + 1;
    }
  }

  void OnOK() override {
    auto result = Napi::Object::New(Env());
    result.Set("read", Napi::Buffer<uint8_t>::Copy(Env(), read_.data(), read_.size()));
    result.Set("signatures", Napi::Buffer<char>::Copy(Env(), signatures_.data(), signatures_.size()));
    deferred_.Resolve(result);
  }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Napi::Promise::Deferred deferred_;
  Napi::Reference<Napi::Buffer<char>> held_paths_;
  Napi::Reference<Napi::Buffer<char>> held_output_;
  std::string_view paths_;
  char* output_;
  int flags_;
  std::vector<Facts> facts_;
  std::vector<uint8_t> read_;
  std::vector<char> signatures_;
};

Napi::Value StartReadFiles(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsBuffer() || !info[1].IsTypedArray() || !info[2].IsBuffer() || !info[3].IsNumber() ||
      info[1].As<Napi::TypedArray>().TypedArrayType() != napi_float64_array)
    throw Napi::TypeError::New(env, "readFiles(paths: Buffer, facts: Float64Array, output: Buffer, flags: number)");
  const auto paths = info[0].As<Napi::Buffer<char>>();
  const auto facts = info[1].As<Napi::Float64Array>();
  const auto output = info[2].As<Napi::Buffer<char>>();
  const size_t count = facts.ElementLength() / ReadFiles::kNumbers;
  double room = 0;
  for (size_t i = 0; i < count; i++) {
    const double size = facts[i * ReadFiles::kNumbers];
    const double block_length = facts[(i + 1) * ReadFiles::kNumbers - 1];
    if (!(size >= 0) || !(block_length >= 1)) throw Napi::RangeError::New(env, "readFiles: no size, or no block length");
    room += size + 1;
  }
  const auto ends = std::count(paths.Data(), paths.Data() + paths.Length(), 0);
  if (room > static_cast<double>(output.Length()) || static_cast<size_t>(ends) != count)
    throw Napi::RangeError::New(env, "readFiles: more contents than room, or not one path for each file");
  auto* work = new ReadFiles(env, paths, facts, output, info[3].As<Napi::Number>().Int32Value());
  const Napi::Promise promise = work->Promise();
  work->Queue();
  return promise;
}

Napi::Function RunOf(Napi::Env env, std::shared_ptr<Job> job) {
  return Napi::Function::New(
      env,
      [job = std::move(job)](const Napi::CallbackInfo& info) -> Napi::Value {
        if (info.Length() != 2 || !info[0].IsBuffer() || !info[1].IsBoolean())
          throw Napi::TypeError::New(info.Env(), "run(chunk: Buffer, last: boolean)");
        if (job->state == Job::State::kRunning)
          throw Napi::Error::New(info.Env(), "The job is still working on the chunk before");
        if (job->state == Job::State::kEnded)
          throw Napi::Error::New(info.Env(), "The job is over and takes no more chunks");
        auto* work = new Work(info.Env(), job, info[0].As<Napi::Buffer<char>>(), info[1].As<Napi::Boolean>());
        const Napi::Promise promise = work->Promise();
        job->state = Job::State::kRunning;
        work->Queue();
        return promise;
      },
      "run");
}

Napi::Value NewSignatureJob(const Napi::CallbackInfo& info) {
  if (info.Length() != 1 || !info[0].IsNumber() || info[0].As<Napi::Number>().Int64Value() < 1)
    throw Napi::TypeError::New(info.Env(), "signatureJob(blockLength: positive integer)");
  const auto block_length = static_cast<size_t>(info[0].As<Napi::Number>().Int64Value());
  return RunOf(info.Env(), std::make_shared<SignatureJob>(block_length));
}

Napi::Value NewDeltaJob(const Napi::CallbackInfo& info) {
  if (info.Length() != 1 || !info[0].IsBuffer())
    throw Napi::TypeError::New(info.Env(), "deltaJob(signature: Buffer)");
  const auto signature = info[0].As<Napi::Buffer<char>>();
  return RunOf(info.Env(), std::make_shared<DeltaJob>(signature.Data(), signature.Length()));
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  // librsync would print its errors to stderr; they reach the caller as rejections instead.
  rs_trace_to([](rs_loglevel, const char*) {});
  exports.Set("readFiles", Napi::Function::New(env, StartReadFiles, "readFiles"));
  exports.Set("signatureJob", Napi::Function::New(env, NewSignatureJob, "signatureJob"));
  exports.Set("deltaJob", Napi::Function::New(env, NewDeltaJob, "deltaJob"));
  return exports;
}

}  // namespace

NODE_API_MODULE(tsdup, Init)

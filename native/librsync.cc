// librsync for src/rsync/: signatures and deltas, computed on libuv's thread pool.
//
// Exports signatures(contents, lengths, blockLengths) -> Promise<Buffer>: the signatures of several small files, whose
// contents stand one after the other, in one go: a call for each would cost more than the work itself.
//
// And two makers of jobs, signatureJob(blockLength) and deltaJob(signature). Both return a function
// run(chunk, last) -> Promise<Buffer> that feeds the next bytes of a file and resolves to the output so far
// available. A job is worked on by one thread at a time: run throws while an earlier call is not settled, and
// after the last call or a failure. The chunk is read in place, so it must not change until the promise settles.

#include <librsync.h>
#include <napi.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

// MD4 sums cut to 8 bytes are what every release of duplicity writes and every librsync reads.
constexpr rs_magic_number kMagic = RS_MD4_SIG_MAGIC;
constexpr size_t kStrongLength = 8;

// librsync copies all input offered at once into a buffer of its own, and counts some of it in an int.
// Offering it in pieces bounds both. Speed is the same from 16 KiB to 1 MiB; longer pieces favour long blocks.
constexpr size_t kPiece = 256 * 1024;

struct FreeJob {
  void operator()(rs_job_t* job) const { rs_job_free(job); }
};
struct FreeSums {
  void operator()(rs_signature_t* sums) const { rs_free_sumset(sums); }
};
using JobHandle = std::unique_ptr<rs_job_t, FreeJob>;
using SumsHandle = std::unique_ptr<rs_signature_t, FreeSums>;

void Check(rs_result result) {
  if (result != RS_DONE) throw std::runtime_error(std::string("librsync: ") + rs_strerror(result));
}

// Feeds `length` bytes and appends what comes out. Returns when all of them are taken and, if `last`, the job is done.
void Feed(rs_job_t* job, const char* bytes, size_t length, bool last, std::vector<char>& out) {
  char space[64 * 1024];
  rs_buffers_t buffers{};
  buffers.next_in = const_cast<char*>(bytes);
  size_t left = length;
  for (;;) {
    const size_t offered = std::min(left, kPiece);
    buffers.avail_in = offered;
    buffers.eof_in = last && offered == left;
    buffers.next_out = space;
    buffers.avail_out = sizeof space;
    const rs_result result = rs_job_iter(job, &buffers);
    const size_t taken = offered - buffers.avail_in;
    const size_t made = sizeof space - buffers.avail_out;
    left -= taken;
    out.insert(out.end(), space, space + made);
    if (result != RS_BLOCKED) return Check(result);
    if (!last && left == 0 && buffers.avail_out > 0) return;
    if (taken == 0 && made == 0) return Check(RS_INTERNAL_ERROR);
  }
}

// One file's worth of work. Begin() and Run() are called on pool threads, `state` belongs to the main thread.
class Job {
 public:
  enum class State { kIdle, kRunning, kEnded };
  State state = State::kIdle;

  virtual ~Job() = default;

  // What librsync holds goes as soon as the job is over: the garbage collector cannot see how much it is.
  std::vector<char> Run(const char* bytes, size_t length, bool last) {
    std::vector<char> out;
    try {
      if (!job_) job_ = Begin();
      Feed(job_.get(), bytes, length, last, out);
    } catch (...) {
      End();
      throw;
    }
    if (last) End();
    return out;
  }

 protected:
  virtual JobHandle Begin() = 0;
  virtual void End() { job_.reset(); }

 private:
  JobHandle job_;
};

class SignatureJob : public Job {
 public:
  explicit SignatureJob(size_t block_length) : block_length_(block_length) {}

 protected:
  JobHandle Begin() override { return JobHandle(rs_sig_begin(block_length_, kStrongLength, kMagic)); }

 private:
  size_t block_length_;
};

class DeltaJob : public Job {
 public:
  DeltaJob(const char* signature, size_t length) : signature_(signature, signature + length) {}

 protected:
  JobHandle Begin() override {
    rs_signature_t* sums = nullptr;
    const JobHandle load(rs_loadsig_begin(&sums));
    sums_.reset(sums);
    std::vector<char> none;
    Feed(load.get(), signature_.data(), signature_.size(), true, none);
    Check(rs_build_hash_table(sums_.get()));
    std::vector<char>().swap(signature_);
    return JobHandle(rs_delta_begin(sums_.get()));
  }

  void End() override {
    Job::End();
    sums_.reset();
  }

 private:
  std::vector<char> signature_;
  SumsHandle sums_;
};

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

// One call of signatures(). Holds the contents, so they cannot be collected under the thread's feet.
class Signatures : public Napi::AsyncWorker {
 public:
  struct File {
    size_t length;
    size_t block_length;
  };

  Signatures(Napi::Env env, Napi::Buffer<char> contents, std::vector<File> files)
      : Napi::AsyncWorker(env, "tsdup:signatures"),
        deferred_(Napi::Promise::Deferred::New(env)),
        contents_(Napi::Persistent(contents)),
        bytes_(contents.Data()),
        files_(std::move(files)) {}

  Napi::Promise Promise() const { return deferred_.Promise(); }

  void Execute() override {
    const char* at = bytes_;
    for (const File& file : files_) {
      const JobHandle job(rs_sig_begin(file.block_length, kStrongLength, kMagic));
      Feed(job.get(), at, file.length, true, out_);
      at += file.length;
    }
  }

  void OnOK() override { deferred_.Resolve(Napi::Buffer<char>::Copy(Env(), out_.data(), out_.size())); }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Napi::Promise::Deferred deferred_;
  Napi::Reference<Napi::Buffer<char>> contents_;
  const char* bytes_;
  std::vector<File> files_;
  std::vector<char> out_;
};

Napi::Value NewSignatures(const Napi::CallbackInfo& info) {
  if (info.Length() != 3 || !info[0].IsBuffer() || !info[1].IsArray() || !info[2].IsArray())
    throw Napi::TypeError::New(info.Env(), "signatures(contents: Buffer, lengths: number[], blockLengths: number[])");
  const auto contents = info[0].As<Napi::Buffer<char>>();
  const auto lengths = info[1].As<Napi::Array>();
  const auto block_lengths = info[2].As<Napi::Array>();
  if (lengths.Length() != block_lengths.Length())
    throw Napi::TypeError::New(info.Env(), "signatures: one block length for each length");
  std::vector<Signatures::File> files;
  size_t left = contents.Length();
  for (uint32_t i = 0; i < lengths.Length(); i++) {
    const int64_t length = lengths.Get(i).As<Napi::Number>().Int64Value();
    const int64_t block_length = block_lengths.Get(i).As<Napi::Number>().Int64Value();
    if (length < 0 || static_cast<size_t>(length) > left || block_length < 1)
      throw Napi::RangeError::New(info.Env(), "signatures: lengths beyond the contents, or no block length");
    left -= static_cast<size_t>(length);
    files.push_back({static_cast<size_t>(length), static_cast<size_t>(block_length)});
  }
  auto* work = new Signatures(info.Env(), contents, std::move(files));
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
  exports.Set("signatures", Napi::Function::New(env, NewSignatures, "signatures"));
  exports.Set("signatureJob", Napi::Function::New(env, NewSignatureJob, "signatureJob"));
  exports.Set("deltaJob", Napi::Function::New(env, NewDeltaJob, "deltaJob"));
  return exports;
}

}  // namespace

NODE_API_MODULE(tsdup, Init)

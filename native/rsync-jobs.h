// One file's signature or delta in the making, for librsync.cc: fed chunk by chunk, on any thread, one call at a time.

#pragma once

#include <librsync.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "freer.h"

class Job {
 public:
  enum class State { kIdle, kRunning, kEnded };
  // Belongs to who calls.
  State state = State::kIdle;

  virtual ~Job() = default;

  // Takes the next bytes of the file; returns what of the output is complete. Throws std::runtime_error, and is over then.
  // What a job holds goes as soon as it is over: the garbage collector cannot see how much it is.
  std::vector<char> Run(const char* bytes, size_t length, bool last);

 protected:
  virtual std::vector<char> Take(const char* bytes, size_t length, bool last) = 0;
  virtual void End() {}
};

// Cuts a file into blocks, of which the last may be short.
class Blocks {
 public:
  explicit Blocks(size_t length) : length_(length) {}

  // take(bytes, length, count) gets blocks that lie one behind the other.
  template <typename Take>
  void Push(const char* bytes, size_t length, bool last, Take take) {
    if (!rest_.empty()) {
      const size_t missing = length_ - rest_.size() < length ? length_ - rest_.size() : length;
      rest_.insert(rest_.end(), bytes, bytes + missing);
      bytes += missing;
      length -= missing;
      if (rest_.size() == length_) {
        take(rest_.data(), length_, size_t{1});
        rest_.clear();
      }
    }
    const size_t count = length / length_;
    if (count > 0) take(bytes, length_, count);
    rest_.insert(rest_.end(), bytes + count * length_, bytes + length);
    if (last && !rest_.empty()) take(rest_.data(), rest_.size(), size_t{1});
  }

 private:
  size_t length_;
  std::vector<char> rest_;
};

// What every release of duplicity writes and every librsync reads: MD4 cut to 8 bytes, classic rolling sum.
class SignatureJob : public Job {
 public:
  explicit SignatureJob(size_t block_length) : block_length_(block_length), blocks_(block_length) {}

 protected:
  std::vector<char> Take(const char* bytes, size_t length, bool last) override;

 private:
  size_t block_length_;
  Blocks blocks_;
  bool begun_ = false;
};

using JobHandle = std::unique_ptr<rs_job_t, Freer<rs_job_free>>;
using SumsHandle = std::unique_ptr<rs_signature_t, Freer<rs_free_sumset>>;

// In a file that was changed in place most blocks are where they were: those are found by their sums alone. Only what lies between
// is searched by librsync for blocks that have moved.
class DeltaJob : public Job {
 public:
  DeltaJob(const char* signature, size_t length);

 protected:
  std::vector<char> Take(const char* bytes, size_t length, bool last) override;
  void End() override;

 private:
  void Compare(const char* bytes, size_t length, size_t count, std::vector<char>& out);
  bool IsWhereItWas(const uint8_t* sums) const;
  void LoadSums();
  void Search(const char* bytes, size_t length, bool last, std::vector<char>& out);
  void EndSearch(std::vector<char>& out);
  void EndCopy(std::vector<char>& out);

  std::vector<char> signature_;
  // Signatures of other kinds are librsync's alone.
  bool in_place_;
  Blocks blocks_;
  bool begun_ = false;
  // The block that comes next.
  size_t next_ = 0;
  // Bytes of the file before that are the same, not written down yet.
  uint64_t copy_from_ = 0;
  uint64_t copy_length_ = 0;
  SumsHandle sums_;
  // Of what lies between blocks that are where they were.
  JobHandle search_;
  // Bytes of its output that are a delta's header and not wanted.
  size_t header_left_ = 0;
};

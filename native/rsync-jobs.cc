#include "rsync-jobs.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include "block-sums.h"

namespace {

constexpr size_t kHeaderLength = 12;

// librsync copies all input offered at once into a buffer of its own, and counts some of it in an int.
// Offering it in pieces bounds both. Speed is the same from 16 KiB to 1 MiB; longer pieces favour long blocks.
constexpr size_t kPiece = 256 * 1024;

// Of a delta: its first four bytes, its end, and the first of the sixteen commands that copy.
constexpr uint32_t kDeltaMagic = RS_DELTA_MAGIC;
constexpr char kEnd = 0;
constexpr uint8_t kCopy = 0x45;

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

// Big-endian.
void Put(std::vector<char>& out, uint64_t value, size_t length) {
  while (length-- > 0) out.push_back(static_cast<char>(value >> (8 * length)));
}

uint32_t Word(const std::vector<char>& bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = at; i < at + 4; i++) value = value << 8 | static_cast<uint8_t>(bytes.at(i));
  return value;
}

// How many bytes a number is written with, as a power of two.
int Size(uint64_t value) { return value < 1 << 8 ? 0 : value < 1 << 16 ? 1 : value < uint64_t{1} << 32 ? 2 : 3; }

const uint8_t* Unsigned(const char* bytes) { return reinterpret_cast<const uint8_t*>(bytes); }

}  // namespace

std::vector<char> Job::Run(const char* bytes, size_t length, bool last) {
  try {
    std::vector<char> out = Take(bytes, length, last);
    if (last) End();
    return out;
  } catch (...) {
    End();
    throw;
  }
}

std::vector<char> SignatureJob::Take(const char* bytes, size_t length, bool last) {
  std::vector<char> out;
  if (!begun_) {
    for (const size_t value : {size_t{RS_MD4_SIG_MAGIC}, block_length_, kStrongLength}) Put(out, value, 4);
    begun_ = true;
  }
  blocks_.Push(bytes, length, last, [&](const char* block, size_t block_length, size_t count) {
    const size_t at = out.size();
    out.resize(at + count * kSumsLength);
    BlockSums(Unsigned(block), block_length, count, reinterpret_cast<uint8_t*>(out.data() + at));
  });
  return out;
}

// The caller has checked the signature.
DeltaJob::DeltaJob(const char* signature, size_t length)
    : signature_(signature, signature + length),
      in_place_(Word(signature_, 0) == RS_MD4_SIG_MAGIC && Word(signature_, 8) == kStrongLength),
      blocks_(Word(signature_, 4)) {}

std::vector<char> DeltaJob::Take(const char* bytes, size_t length, bool last) {
  std::vector<char> out;
  if (!begun_) Put(out, kDeltaMagic, 4);
  begun_ = true;
  if (in_place_) {
    blocks_.Push(bytes, length, last, [&](const char* block, size_t block_length, size_t count) {
      Compare(block, block_length, count, out);
    });
  } else {
    Search(bytes, length, false, out);
  }
  if (last) {
    EndSearch(out);
    EndCopy(out);
    out.push_back(kEnd);
  }
  return out;
}

void DeltaJob::End() {
  search_.reset();
  sums_.reset();
  std::vector<char>().swap(signature_);
}

void DeltaJob::Compare(const char* bytes, size_t length, size_t count, std::vector<char>& out) {
  std::vector<uint8_t> sums(count * kSumsLength);
  BlockSums(Unsigned(bytes), length, count, sums.data());
  for (size_t i = 0; i < count;) {
    const size_t first = i;
    const bool same = IsWhereItWas(&sums[i * kSumsLength]);
    const uint64_t from = uint64_t{next_} * Word(signature_, 4);
    do i++, next_++;
    while (i < count && IsWhereItWas(&sums[i * kSumsLength]) == same);
    const size_t run = (i - first) * length;
    if (same) {
      EndSearch(out);
      if (copy_length_ == 0) copy_from_ = from;
      copy_length_ += run;
    } else {
      EndCopy(out);
      Search(bytes + first * length, run, false, out);
    }
  }
}

bool DeltaJob::IsWhereItWas(const uint8_t* sums) const {
  const size_t at = kHeaderLength + next_ * kSumsLength;
  return at + kSumsLength <= signature_.size() && std::memcmp(signature_.data() + at, sums, kSumsLength) == 0;
}

void DeltaJob::LoadSums() {
  rs_signature_t* sums = nullptr;
  const JobHandle load(rs_loadsig_begin(&sums));
  sums_.reset(sums);
  std::vector<char> none;
  Feed(load.get(), signature_.data(), signature_.size(), true, none);
  Check(rs_build_hash_table(sums_.get()));
}

void DeltaJob::Search(const char* bytes, size_t length, bool last, std::vector<char>& out) {
  if (!sums_) LoadSums();
  if (!search_) {
    search_.reset(rs_delta_begin(sums_.get()));
    header_left_ = 4;
  }
  std::vector<char> made;
  Feed(search_.get(), bytes, length, last, made);
  // Without its own header and end.
  const size_t header = std::min(header_left_, made.size());
  header_left_ -= header;
  out.insert(out.end(), made.begin() + static_cast<std::ptrdiff_t>(header), made.end() - (last ? 1 : 0));
  if (last) search_.reset();
}

void DeltaJob::EndSearch(std::vector<char>& out) {
  if (search_) Search(nullptr, 0, true, out);
}

void DeltaJob::EndCopy(std::vector<char>& out) {
  if (copy_length_ == 0) return;
  const int from = Size(copy_from_), length = Size(copy_length_);
  out.push_back(static_cast<char>(kCopy + 4 * from + length));
  Put(out, copy_from_, size_t{1} << from);
  Put(out, copy_length_, size_t{1} << length);
  copy_length_ = 0;
}

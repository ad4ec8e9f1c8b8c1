// Directories' listings: the parts that JavaScript gave of them, kept while the kernel reads these piece by piece.

#pragma once

#define FUSE_USE_VERSION 310
#include <fuse3/fuse_lowlevel.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <utility>
#include <vector>

// Doubles that tell of an entry: fuse.cc.
constexpr size_t kFields = 13;
// What programs are told to read at once.
constexpr blksize_t kPreferredRead = 1 << 17;

// What the kernel's offsets in a directory have more than JavaScript's: 0 is before `.`, 1 before `..`, 2 before the first entry, and what
// is behind an entry has the entry's.
constexpr off_t kDots = 2;
inline off_t AfterOf(off_t offset) { return std::max<off_t>(offset - kDots, 0); }

// What a reader of a directory wants of its listing.
struct Wanted {
  fuse_ino_t ino;
  size_t length;
  off_t offset;
  bool plus;
};

// Entries of a directory, one behind the other.
struct Part {
  fuse_ino_t ino;
  // The offset of the entry before them, 0: none is; and of each of them.
  off_t after;
  std::vector<off_t> offsets;
  std::vector<char> names;
  // Where each name ends.
  std::vector<uint32_t> ends;
  std::vector<double> attributes;
  bool is_last;

  // How many of them are before what is wanted.
  std::optional<size_t> Before(const Wanted& wanted) const {
    if (ino != wanted.ino) return std::nullopt;
    const off_t wanted_after = AfterOf(wanted.offset);
    if (wanted_after == after) return 0;
    const auto found = std::find(offsets.begin(), offsets.end(), wanted_after);
    // What is behind the last of them is in the next part.
    if (found == offsets.end() || (found + 1 == offsets.end() && !is_last)) return std::nullopt;
    return found + 1 - offsets.begin();
  }
};

// Parts whose reading has begun; the least recently used goes first.
class Listings {
 public:
  // The one that what is wanted is in; nullptr: it is to be asked for.
  const Part* Find(const Wanted& wanted) {
    const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const Part& part) { return part.Before(wanted).has_value(); });
    if (found == kept_.end()) return nullptr;
    kept_.splice(kept_.begin(), kept_, found);
    return &kept_.front();
  }
  const Part& Keep(Part part) {
    Drop(part);
    kept_.push_front(std::move(part));
    if (kept_.size() > kMost) kept_.pop_back();
    return kept_.front();
  }
  void Drop(const Part& part) {
    kept_.remove_if([ino = part.ino, after = part.after](const Part& kept) { return kept.ino == ino && kept.after == after; });
  }

 private:
  // More than programs usually read at once; who reads one that is gone asks again.
  static constexpr size_t kMost = 16;
  std::list<Part> kept_;
};

inline fuse_entry_param EntryOf(const double* fields) {
  fuse_entry_param entry{};
  const bool known = !std::isnan(fields[5]);
  // An entry without attributes is listed, and not looked up: the kernel asks when somebody wants them.
  entry.ino = known ? static_cast<fuse_ino_t>(fields[0]) : 0;
  entry.attr.st_ino = static_cast<ino_t>(fields[0]);
  entry.attr.st_mode = static_cast<mode_t>(fields[1]);
  if (!known) return entry;
  entry.attr.st_nlink = static_cast<nlink_t>(fields[2]);
  entry.attr.st_uid = static_cast<uid_t>(fields[3]);
  entry.attr.st_gid = static_cast<gid_t>(fields[4]);
  entry.attr.st_size = static_cast<off_t>(fields[5]);
  entry.attr.st_blocks = static_cast<blkcnt_t>(fields[11]);
  entry.attr.st_blksize = kPreferredRead;
  entry.attr.st_mtim.tv_sec = static_cast<time_t>(fields[6]);
  entry.attr.st_mtim.tv_nsec = static_cast<long>(fields[7]);
  entry.attr.st_atim = entry.attr.st_ctim = entry.attr.st_mtim;
  entry.attr.st_rdev = static_cast<dev_t>(fields[8]);
  entry.entry_timeout = fields[9];
  entry.attr_timeout = fields[10];
  return entry;
}

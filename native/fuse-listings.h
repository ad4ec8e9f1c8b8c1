// A directory's listing: what JavaScript gave of it, kept while the kernel reads it piece by piece.

#pragma once

#define FUSE_USE_VERSION 310
#include <fuse3/fuse_lowlevel.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <list>
#include <utility>
#include <vector>

// Doubles that tell of an entry: fuse.cc.
constexpr size_t kFields = 13;
// What programs are told to read at once.
constexpr blksize_t kPreferredRead = 1 << 17;

struct Directory {
  std::vector<char> names;
  // Where each name ends.
  std::vector<uint32_t> ends;
  std::vector<double> attributes;
};

// What a reader of a directory wants of its listing.
struct Part {
  fuse_ino_t ino;
  size_t length;
  off_t offset;
  bool plus;
};

// Listings whose reading has begun; the least recently used goes first.
class Listings {
 public:
  const Directory* Find(fuse_ino_t ino) {
    const auto found = std::find_if(kept_.begin(), kept_.end(), [ino](const auto& kept) { return kept.first == ino; });
    if (found == kept_.end()) return nullptr;
    kept_.splice(kept_.begin(), kept_, found);
    return &kept_.front().second;
  }
  const Directory& Keep(fuse_ino_t ino, Directory directory) {
    Drop(ino);
    kept_.emplace_front(ino, std::move(directory));
    if (kept_.size() > kMost) kept_.pop_back();
    return kept_.front().second;
  }
  void Drop(fuse_ino_t ino) {
    kept_.remove_if([ino](const auto& kept) { return kept.first == ino; });
  }

 private:
  // More than programs usually read at once; who reads one that is gone asks again.
  static constexpr size_t kMost = 16;
  std::list<std::pair<fuse_ino_t, Directory>> kept_;
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

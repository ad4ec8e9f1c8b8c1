// Lists a folder for src/source/: names and what lstat tells of each, in one call instead of one for each name.
//
// Exports list(path: Buffer, flags: number, seed: Buffer | null, expected: Buffer | null)
//   -> { names: Buffer, facts: Float64Array, digest: Buffer | null, lost: number }, on the caller's thread.
// The path ends in a NUL; flags are for open(2). names: in bytewise order, each ended by a NUL. facts: for each name kFacts
// numbers, in the order of Facts below. digest: of each name, in this order, kDigest bytes of the SHA-256 of the seed, the name and
// all that tells of a change; null without a seed, and when lstat refused any of them. expected: one of an earlier call. Names that are in it
// as they are now are left out, but for folders; lost is how many of its names are not there any more, or not as they were.
// Throws an Error whose `errno` is the system's when the folder cannot be read.

#include <dirent.h>
#include <fcntl.h>
#include <napi.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "openssl.h"

namespace {

// All zero when lstat refused: whoever wants to know why asks again.
struct Facts {
  double mode, uid, gid, size, seconds, nanoseconds, device, major, minor, names, file, stamp;
  // 1: in the expected digest, as it is now; else 0.
  double known;
};
constexpr size_t kFacts = sizeof(Facts) / sizeof(double);

// An odd number that spreads over all bits what it is multiplied with.
constexpr uint64_t kSpread = 0x9e3779b97f4a7c15ULL;

// As src/source/source.ts makes it of Node's numbers: 52 bits, which a double holds.
double FileNumber(const struct stat& found) {
  const uint64_t number = static_cast<uint64_t>(found.st_ino) ^ (static_cast<uint64_t>(found.st_dev) * kSpread);
  return static_cast<double>(number & ((1ULL << 52) - 1));
}

// As src/source/source.ts makes it, in 52 bits again.
double Stamp(const struct stat& found) {
  const uint64_t changed = static_cast<uint64_t>(found.st_ctim.tv_sec) * 1000000000ULL + static_cast<uint64_t>(found.st_ctim.tv_nsec);
  return static_cast<double>((((static_cast<uint64_t>(found.st_ino) * kSpread) ^ changed) * kSpread) >> 12);
}

// What a digest is made of besides the name: whatever was done to an entry, one of these is another.
std::array<uint64_t, 12> Telling(const struct stat& found) {
  const auto number = [](auto value) { return static_cast<uint64_t>(value); };
  return {number(found.st_dev),          number(found.st_ino),          number(found.st_mode),         number(found.st_nlink),
          number(found.st_uid),          number(found.st_gid),          number(found.st_rdev),         number(found.st_size),
          number(found.st_mtim.tv_sec), number(found.st_mtim.tv_nsec), number(found.st_ctim.tv_sec), number(found.st_ctim.tv_nsec)};
}

// Of an entry. A stamp has no more: among the few that a folder's are compared with, two are never the same by chance.
using EntryDigest = uint64_t;
constexpr size_t kDigest = sizeof(EntryDigest);

EntryDigest DigestOf(const Napi::Buffer<uint8_t>& seed, const std::string& name, const struct stat& found) {
  const auto telling = Telling(found);
  const HashContext hash = NewHash(EVP_sha256());
  CheckOpenSsl(EVP_DigestUpdate(hash.get(), seed.Data(), seed.Length()));
  CheckOpenSsl(EVP_DigestUpdate(hash.get(), name.c_str(), name.size() + 1));
  CheckOpenSsl(EVP_DigestUpdate(hash.get(), telling.data(), sizeof telling));
  EntryDigest digest;
  std::memcpy(&digest, Finish(hash.get()).data(), kDigest);
  return digest;
}

std::vector<EntryDigest> Sorted(const Napi::Buffer<uint8_t>& expected) {
  std::vector<EntryDigest> digests(expected.Length() / kDigest);
  std::memcpy(digests.data(), expected.Data(), digests.size() * kDigest);
  std::sort(digests.begin(), digests.end());
  return digests;
}

Facts ToFacts(const struct stat& found) {
  return {static_cast<double>(found.st_mode),           static_cast<double>(found.st_uid),
          static_cast<double>(found.st_gid),            static_cast<double>(found.st_size),
          static_cast<double>(found.st_mtim.tv_sec),    static_cast<double>(found.st_mtim.tv_nsec),
          static_cast<double>(found.st_dev),            static_cast<double>(major(found.st_rdev)),
          static_cast<double>(minor(found.st_rdev)),    static_cast<double>(found.st_nlink),
          FileNumber(found),                            Stamp(found),
          0};
}

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};

Napi::Error Refused(Napi::Env env) {
  const int number = errno;
  const Napi::Error error = Napi::Error::New(env, std::strerror(number));
  error.Set("errno", Napi::Number::New(env, number));
  return error;
}

// Throws what is no Napi::Error when OpenSSL refuses.
Napi::Value ListUnguarded(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const bool fits = info[0].IsBuffer() && info[1].IsNumber() && (info[2].IsNull() || info[2].IsBuffer()) &&
                    (info[3].IsNull() || info[3].IsBuffer());
  if (!fits) throw Napi::TypeError::New(env, "list(path: Buffer, flags: number, seed: Buffer | null, expected: Buffer | null)");
  const auto path = info[0].As<Napi::Buffer<char>>();
  if (path.Length() == 0 || path.Data()[path.Length() - 1] != 0) throw Napi::TypeError::New(env, "list: the path lacks its NUL");
  const int fd = open(path.Data(), info[1].As<Napi::Number>().Int32Value() | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throw Refused(env);
  const std::unique_ptr<DIR, CloseFolder> folder(fdopendir(fd));
  if (!folder) {
    const Napi::Error error = Refused(env);
    close(fd);
    throw error;
  }
  std::vector<std::string> names;
  for (errno = 0; const dirent* entry = readdir(folder.get()); errno = 0) {
    if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) names.emplace_back(entry->d_name);
  }
  if (errno != 0) throw Refused(env);
  // Bytewise, as unsigned numbers: std::string compares so.
  std::sort(names.begin(), names.end());
  std::vector<Facts> found(names.size());
  std::vector<EntryDigest> digests;
  bool whole = info[2].IsBuffer();
  for (size_t i = 0; i < names.size(); i++) {
    struct stat stat;
    if (fstatat(fd, names[i].c_str(), &stat, AT_SYMLINK_NOFOLLOW) == 0) {
      found[i] = ToFacts(stat);
      if (whole) digests.push_back(DigestOf(info[2].As<Napi::Buffer<uint8_t>>(), names[i], stat));
    } else {
      whole = false;
    }
  }
  const auto expected = whole && info[3].IsBuffer() ? Sorted(info[3].As<Napi::Buffer<uint8_t>>()) : std::vector<EntryDigest>();
  size_t lost = expected.size();
  std::string joined;
  std::vector<Facts> told;
  for (size_t i = 0; i < names.size(); i++) {
    const bool known = whole && std::binary_search(expected.begin(), expected.end(), digests[i]);
    if (known) {
      found[i].known = 1;
      lost--;
      if (!S_ISDIR(static_cast<mode_t>(found[i].mode))) continue;
    }
    joined.append(names[i]).push_back('\0');
    told.push_back(found[i]);
  }
  auto result = Napi::Object::New(env);
  const auto bytes = reinterpret_cast<const uint8_t*>(digests.data());
  result.Set("digest", whole ? Napi::Buffer<uint8_t>::Copy(env, bytes, digests.size() * kDigest) : env.Null());
  result.Set("lost", Napi::Number::New(env, static_cast<double>(lost)));
  auto facts = Napi::Float64Array::New(env, told.size() * kFacts);
  std::copy(told.begin(), told.end(), reinterpret_cast<Facts*>(facts.Data()));
  result.Set("names", Napi::Buffer<char>::Copy(env, joined.data(), joined.size()));
  result.Set("facts", facts);
  return result;
}

Napi::Value List(const Napi::CallbackInfo& info) {
  try {
    return ListUnguarded(info);
  } catch (const std::runtime_error& error) {
    throw Napi::Error::New(info.Env(), error.what());
  }
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("list", Napi::Function::New(env, List, "list"));
  return exports;
}

}  // namespace

NODE_API_MODULE(directory, Init)

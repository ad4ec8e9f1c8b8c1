// Lists a folder for src/source/: names and what lstat tells of each, in one call instead of one for each name.
//
// Exports list(path: Buffer, flags: number) -> { names: Buffer, facts: Float64Array }, on the caller's thread. The path ends in a
// NUL; flags are for open(2). names: in bytewise order, each ended by a NUL. facts: for each name kFacts numbers, in the
// order of Facts below. Throws an Error whose `errno` is the system's when the folder cannot be read.

#include <dirent.h>
#include <fcntl.h>
#include <napi.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace {

// All zero when lstat refused: whoever wants to know why asks again.
struct Facts {
  double mode, uid, gid, size, seconds, nanoseconds, device, major, minor, names, file, stamp;
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

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};

Napi::Error Refused(Napi::Env env) {
  const int number = errno;
  const Napi::Error error = Napi::Error::New(env, std::strerror(number));
  error.Set("errno", Napi::Number::New(env, number));
  return error;
}

Napi::Value List(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsBuffer() || !info[1].IsNumber()) throw Napi::TypeError::New(env, "list(path: Buffer, flags: number)");
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
  std::string joined;
  auto facts = Napi::Float64Array::New(env, names.size() * kFacts);
  auto* at = reinterpret_cast<Facts*>(facts.Data());
  for (const std::string& name : names) {
    joined.append(name).push_back('\0');
    struct stat found;
    if (fstatat(fd, name.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0) {
      *at = {static_cast<double>(found.st_mode),           static_cast<double>(found.st_uid),
             static_cast<double>(found.st_gid),            static_cast<double>(found.st_size),
             static_cast<double>(found.st_mtim.tv_sec),    static_cast<double>(found.st_mtim.tv_nsec),
             static_cast<double>(found.st_dev),            static_cast<double>(major(found.st_rdev)),
             static_cast<double>(minor(found.st_rdev)),    static_cast<double>(found.st_nlink),
             FileNumber(found),                            Stamp(found)};
    }
    at++;
  }
  auto result = Napi::Object::New(env);
  result.Set("names", Napi::Buffer<char>::Copy(env, joined.data(), joined.size()));
  result.Set("facts", facts);
  return result;
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("list", Napi::Function::New(env, List, "list"));
  return exports;
}

}  // namespace

NODE_API_MODULE(directory, Init)

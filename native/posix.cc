// System calls that Node does not have, for src/posix/: extended attributes, times in nanoseconds, holes, the priority of threads.
// Paths and names are bytes; the last component of a path is never followed. All of them block, as the *Sync functions of node:fs do.
//
//   list(file) -> Buffer                    names, each ended by a NUL
//   get(file, name) -> Buffer | null        null: it has no such attribute
//   set(path, name, value)
//   times(path, seconds, nanoseconds)       access and modification time
//   firstHole(fd) -> number                 offset of the first hole; the size when there is none
//   closeOnExec(fd)                         children do not get the descriptor
//   lowerOtherThreads(nice)                 all threads that there are but the main one
//
// `file` is a path (Buffer) or a descriptor. They throw errors with code, errno and syscall like those of node:fs.

#include <dirent.h>
#include <fcntl.h>
#include <napi.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "freer.h"

namespace {

// XATTR_LIST_MAX and XATTR_SIZE_MAX of Linux: nothing is longer.
constexpr size_t kLongest = 65536;

[[noreturn]] void Fail(Napi::Env env, const char* call) {
  const int number = errno;
  const std::string code = uv_err_name(-number);
  const Napi::Error error = Napi::Error::New(env, code + ": " + uv_strerror(-number) + ", " + call);
  error.Set("code", code);
  error.Set("errno", Napi::Number::New(env, -number));
  error.Set("syscall", call);
  throw error;
}

std::string Text(const Napi::Value& value) {
  if (!value.IsBuffer()) throw Napi::TypeError::New(value.Env(), "a Buffer is expected");
  const auto bytes = value.As<Napi::Buffer<char>>();
  return {bytes.Data(), bytes.Length()};
}

std::vector<char>& Scratch() {
  static thread_local std::vector<char> scratch(kLongest);
  return scratch;
}

Napi::Value List(const Napi::CallbackInfo& info) {
  auto& scratch = Scratch();
  const ssize_t length = info[0].IsNumber()
                             ? flistxattr(info[0].As<Napi::Number>(), scratch.data(), scratch.size())
                             : llistxattr(Text(info[0]).c_str(), scratch.data(), scratch.size());
  if (length < 0) Fail(info.Env(), "listxattr");
  return Napi::Buffer<char>::Copy(info.Env(), scratch.data(), static_cast<size_t>(length));
}

Napi::Value Get(const Napi::CallbackInfo& info) {
  auto& scratch = Scratch();
  const std::string name = Text(info[1]);
  const ssize_t length = info[0].IsNumber()
                             ? fgetxattr(info[0].As<Napi::Number>(), name.c_str(), scratch.data(), scratch.size())
                             : lgetxattr(Text(info[0]).c_str(), name.c_str(), scratch.data(), scratch.size());
  if (length < 0 && errno == ENODATA) return info.Env().Null();
  if (length < 0) Fail(info.Env(), "getxattr");
  return Napi::Buffer<char>::Copy(info.Env(), scratch.data(), static_cast<size_t>(length));
}

Napi::Value Set(const Napi::CallbackInfo& info) {
  const std::string value = Text(info[2]);
  if (lsetxattr(Text(info[0]).c_str(), Text(info[1]).c_str(), value.data(), value.size(), 0) != 0) {
    Fail(info.Env(), "setxattr");
  }
  return info.Env().Undefined();
}

Napi::Value Times(const Napi::CallbackInfo& info) {
  struct timespec time {};
  time.tv_sec = static_cast<time_t>(info[1].As<Napi::Number>().Int64Value());
  time.tv_nsec = static_cast<long>(info[2].As<Napi::Number>().Int64Value());
  const struct timespec times[2] = {time, time};
  if (utimensat(AT_FDCWD, Text(info[0]).c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) Fail(info.Env(), "utimensat");
  return info.Env().Undefined();
}

Napi::Value FirstHole(const Napi::CallbackInfo& info) {
  const int fd = info[0].As<Napi::Number>();
  const off_t before = lseek(fd, 0, SEEK_CUR);
  const off_t hole = before < 0 ? -1 : lseek(fd, 0, SEEK_HOLE);
  const int problem = errno;
  const bool restored = before >= 0 && lseek(fd, before, SEEK_SET) == before;
  if (hole < 0 || !restored) {
    if (hole < 0) errno = problem;
    Fail(info.Env(), "lseek");
  }
  return Napi::Number::New(info.Env(), static_cast<double>(hole));
}

Napi::Value CloseOnExec(const Napi::CallbackInfo& info) {
  if (fcntl(info[0].As<Napi::Number>(), F_SETFD, FD_CLOEXEC) != 0) Fail(info.Env(), "fcntl");
  return info.Env().Undefined();
}

Napi::Value LowerOtherThreads(const Napi::CallbackInfo& info) {
  const std::unique_ptr<DIR, Freer<closedir>> tasks(opendir("/proc/self/task"));
  if (!tasks) Fail(info.Env(), "opendir");
  while (const dirent* task = readdir(tasks.get())) {
    const int id = std::atoi(task->d_name);
    // The main thread has the number of the process. One that has ended meanwhile is no loss.
    if (id > 0 && id != getpid()) setpriority(PRIO_PROCESS, static_cast<id_t>(id), info[0].As<Napi::Number>());
  }
  return info.Env().Undefined();
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("list", Napi::Function::New(env, List, "list"));
  exports.Set("get", Napi::Function::New(env, Get, "get"));
  exports.Set("set", Napi::Function::New(env, Set, "set"));
  exports.Set("times", Napi::Function::New(env, Times, "times"));
  exports.Set("firstHole", Napi::Function::New(env, FirstHole, "firstHole"));
  exports.Set("closeOnExec", Napi::Function::New(env, CloseOnExec, "closeOnExec"));
  exports.Set("lowerOtherThreads", Napi::Function::New(env, LowerOtherThreads, "lowerOtherThreads"));
  return exports;
}

}  // namespace

NODE_API_MODULE(posix, Init)

// A mount: the requests of the kernel, and the answers to them.

#pragma once

#define FUSE_USE_VERSION 310
#include <fuse3/fuse_lowlevel.h>
#include <napi.h>
#include <uv.h>

#include <chrono>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "fuse-listings.h"
#include "fuse-notifier.h"

// The order is src/fuse/session.ts's.
enum Operation { kLookup, kGetattr, kReadlink, kReaddir, kRead, kStatfs, kGetxattr, kListxattr };

using Clock = std::chrono::steady_clock;

// The whole content of a file.
struct File {
  fuse_ino_t ino;
  std::vector<char> bytes;
};

struct Open {
  fuse_req_t request;
  Clock::time_point since;
  // Of a kReaddir.
  Wanted wanted;
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Napi::Env env, Napi::Function on_request, Napi::Function on_end)
      : attributes(Napi::Persistent(Napi::Float64Array::New(env, kFields))),
        on_request_(Napi::Persistent(on_request)),
        on_end_(Napi::Persistent(on_end)),
        context_(env, "tsdup:fuse") {}

  // Blocks while the kernel mounts. Throws what libfuse says.
  void Mount(Napi::Env env, const std::string& mountpoint, const std::vector<std::string>& options);

  // Lets JavaScript answer.
  void Ask(fuse_req_t request, Operation operation, fuse_ino_t ino, off_t offset = 0, size_t length = 0,
           const char* name = nullptr);
  // Answers with entries of a directory. JavaScript is asked for each part of it when that part's reading begins.
  void Read(fuse_req_t request, const Wanted& wanted);
  // The part's place is the one that was asked for.
  void Listed(uint64_t id, Part part);
  // The request, which is no longer open then; nullptr when it was not.
  fuse_req_t Take(uint64_t id);
  // Answers those that are open for longer with EIO. Returns their ids.
  std::vector<uint64_t> Expire(Clock::duration age);

  void Store(std::vector<File> files) {
    Notify([files = std::move(files)](fuse_session* session) {
      for (const File& file : files) {
        fuse_bufvec buffer = FUSE_BUFVEC_INIT(file.bytes.size());
        buffer.buf[0].mem = const_cast<char*>(file.bytes.data());
        fuse_lowlevel_notify_store(session, file.ino, 0, &buffer, static_cast<fuse_buf_copy_flags>(0));
      }
    });
  }
  // Without a name: the attributes of the folder, and its listing.
  void Forget(fuse_ino_t folder, std::string name) {
    Notify([folder, name = std::move(name)](fuse_session* session) {
      if (name.empty()) fuse_lowlevel_notify_inval_inode(session, folder, 0, 0);
      else fuse_lowlevel_notify_inval_entry(session, folder, name.data(), name.size());
    });
  }
  void Interrupted(uint64_t id) { interrupted_.push_back(id); }

  // The kernel asks about no inode whose attributes it did not get from here.
  fuse_entry_param Known(const double* fields) {
    if (fields[12] == 1) with_xattrs_.insert(static_cast<fuse_ino_t>(fields[0]));
    return EntryOf(fields);
  }
  bool HasXattrs(fuse_ino_t ino) const { return with_xattrs_.count(ino) > 0; }

  Napi::Reference<Napi::Float64Array> attributes;
  bool no_open = false;
  bool no_opendir = false;
  bool without_xattrs = false;

 private:
  void Reply(fuse_req_t request, const Wanted& wanted, const Part& part);
  void Receive();
  void End();
  void Notify(Notifier::Notice notice) {
    if (self_) notifier_->Push(std::move(notice));
  }

  fuse_session* session_ = nullptr;
  std::unique_ptr<Notifier> notifier_;
  fuse_buf buffer_{};
  uv_poll_t* poll_ = nullptr;
  // As long as it is mounted, whatever becomes of JavaScript's object.
  std::shared_ptr<Session> self_;
  Napi::FunctionReference on_request_;
  Napi::FunctionReference on_end_;
  Napi::AsyncContext context_;
  std::unordered_map<uint64_t, Open> open_;
  Listings listings_;
  // What is being answered of one; kept, because the kernel asks for much more than most have.
  std::vector<char> listing_;
  std::unordered_set<fuse_ino_t> with_xattrs_;
  std::vector<uint64_t> interrupted_;
  uint64_t next_id_ = 1;
};

void ReplyXattr(fuse_req_t request, size_t size, const char* bytes, size_t length);

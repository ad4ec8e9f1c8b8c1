#include "fuse-session.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

// Requests that are read before the event loop does something else.
constexpr int kBatch = 64;

constexpr size_t kMaxRead = 1 << 20;

Session& Of(fuse_req_t request) { return *static_cast<Session*>(fuse_req_userdata(request)); }

void OnInit(void* userdata, fuse_conn_info* connection) {
  auto* session = static_cast<Session*>(userdata);
  session->no_open = (connection->capable & FUSE_CAP_NO_OPEN_SUPPORT) != 0;
  session->no_opendir = (connection->capable & FUSE_CAP_NO_OPENDIR_SUPPORT) != 0;
  // Attributes come with every listing, whether they seem to be wanted or not: they cost nothing then.
  connection->want |= connection->capable & (FUSE_CAP_READDIRPLUS | FUSE_CAP_CACHE_SYMLINKS);
  // With default_permissions the kernel lets in by the ACLs, not by the mode alone, which is too kind where there is an ACL.
  connection->want |= connection->capable & FUSE_CAP_POSIX_ACL;
  connection->want &= ~FUSE_CAP_READDIRPLUS_AUTO;
  connection->max_read = kMaxRead;
  connection->max_background = 64;
  connection->congestion_threshold = 48;
}

void OnLookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  Of(request).Ask(request, kLookup, parent, 0, 0, name);
}
void OnForget(fuse_req_t request, fuse_ino_t, uint64_t) { fuse_reply_none(request); }
void OnForgetMulti(fuse_req_t request, size_t, fuse_forget_data*) { fuse_reply_none(request); }
void OnGetattr(fuse_req_t request, fuse_ino_t ino, fuse_file_info*) { Of(request).Ask(request, kGetattr, ino); }
void OnReadlink(fuse_req_t request, fuse_ino_t ino) { Of(request).Ask(request, kReadlink, ino); }
void OnStatfs(fuse_req_t request, fuse_ino_t ino) { Of(request).Ask(request, kStatfs, ino); }

// As with files: after ENOSYS the kernel neither opens nor releases directories, and keeps what it read.
void OnOpendir(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  if (Of(request).no_opendir) {
    fuse_reply_err(request, ENOSYS);
    return;
  }
  info->cache_readdir = info->keep_cache = 1;
  fuse_reply_open(request, info);
}

// What a file is never changes, so nobody needs to know who has it open: after ENOSYS the kernel neither opens nor releases.
void OnOpen(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  if (Of(request).no_open) {
    fuse_reply_err(request, ENOSYS);
    return;
  }
  info->keep_cache = 1;
  fuse_reply_open(request, info);
}

void OnRead(fuse_req_t request, fuse_ino_t ino, size_t length, off_t offset, fuse_file_info*) {
  Of(request).Ask(request, kRead, ino, offset, length);
}

void OnGetxattr(fuse_req_t request, fuse_ino_t ino, const char* name, size_t size) {
  if (Of(request).without_xattrs) {
    fuse_reply_err(request, ENOSYS);
  } else if (Of(request).HasXattrs(ino)) {
    Of(request).Ask(request, kGetxattr, ino, 0, size, name);
  } else {
    fuse_reply_err(request, ENODATA);
  }
}

void OnListxattr(fuse_req_t request, fuse_ino_t ino, size_t size) {
  if (Of(request).without_xattrs) {
    fuse_reply_err(request, ENOSYS);
  } else if (Of(request).HasXattrs(ino)) {
    Of(request).Ask(request, kListxattr, ino, 0, size);
  } else {
    ReplyXattr(request, size, nullptr, 0);
  }
}

void OnReaddir(fuse_req_t request, fuse_ino_t ino, size_t length, off_t offset, fuse_file_info*) {
  Of(request).Read(request, {ino, length, offset, false});
}
void OnReaddirplus(fuse_req_t request, fuse_ino_t ino, size_t length, off_t offset, fuse_file_info*) {
  Of(request).Read(request, {ino, length, offset, true});
}

// libfuse answers all that is not here with ENOSYS, which the kernel remembers.
fuse_lowlevel_ops Operations() {
  fuse_lowlevel_ops operations{};
  operations.init = OnInit;
  operations.lookup = OnLookup;
  operations.forget = OnForget;
  operations.forget_multi = OnForgetMulti;
  operations.getattr = OnGetattr;
  operations.readlink = OnReadlink;
  operations.open = OnOpen;
  operations.read = OnRead;
  operations.opendir = OnOpendir;
  operations.readdir = OnReaddir;
  operations.readdirplus = OnReaddirplus;
  operations.statfs = OnStatfs;
  operations.getxattr = OnGetxattr;
  operations.listxattr = OnListxattr;
  return operations;
}

// While it mounts, libfuse's last words are the reason for which it failed.
bool is_mounting = false;
std::string reason;
void OnLog(fuse_log_level, const char* format, va_list arguments) {
  char line[512];
  std::vsnprintf(line, sizeof line, format, arguments);
  if (!is_mounting) {
    std::fputs(line, stderr);
    return;
  }
  reason = line;
  reason.erase(reason.find_last_not_of("\n") + 1);
}

}  // namespace

void ReplyXattr(fuse_req_t request, size_t size, const char* bytes, size_t length) {
  if (size == 0) {
    fuse_reply_xattr(request, length);
  } else if (length > size) {
    fuse_reply_err(request, ERANGE);
  } else {
    fuse_reply_buf(request, bytes, length);
  }
}

void Session::Mount(Napi::Env env, const std::string& mountpoint, const std::vector<std::string>& options) {
  const fuse_lowlevel_ops operations = Operations();
  fuse_set_log_func(OnLog);
  reason.clear();
  is_mounting = true;
  fuse_args arguments = FUSE_ARGS_INIT(0, nullptr);
  fuse_opt_add_arg(&arguments, "tsdup");
  for (const std::string& option : options) fuse_opt_add_arg(&arguments, ("-o" + option).c_str());
  session_ = fuse_session_new(&arguments, &operations, sizeof operations, this);
  fuse_opt_free_args(&arguments);
  const bool mounted = session_ && fuse_session_mount(session_, mountpoint.c_str()) == 0;
  is_mounting = false;
  if (!mounted) {
    if (session_) fuse_session_destroy(session_);
    throw Napi::Error::New(env, reason);
  }
  self_ = shared_from_this();
  notifier_ = std::make_unique<Notifier>(session_);
  const int device = fuse_session_fd(session_);
  fcntl(device, F_SETFL, fcntl(device, F_GETFL) | O_NONBLOCK);
  // A child (gpg) that outlives this process must not keep the mount from ending.
  fcntl(device, F_SETFD, FD_CLOEXEC);
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  poll_ = new uv_poll_t;
  poll_->data = this;
  uv_poll_init(loop, poll_, device);
  uv_poll_start(poll_, UV_READABLE, [](uv_poll_t* poll, int, int) { static_cast<Session*>(poll->data)->Receive(); });
}

void Session::Ask(fuse_req_t request, Operation operation, fuse_ino_t ino, off_t offset, size_t length,
                  const char* name) {
  const uint64_t id = next_id_++;
  Open& open = open_[id];
  open.request = request;
  open.since = Clock::now();
  // It must not be answered within this call: libfuse holds its lock.
  fuse_req_interrupt_func(
      request,
      [](fuse_req_t interrupted, void* data) { Of(interrupted).Interrupted(reinterpret_cast<uint64_t>(data)); },
      reinterpret_cast<void*>(id));
  const Napi::Env env = on_request_.Env();
  const Napi::Value bytes = name ? Napi::Buffer<char>::Copy(env, name, std::strlen(name)) : env.Undefined();
  on_request_.MakeCallback(env.Global(),
                           {Napi::Number::New(env, operation), Napi::Number::New(env, static_cast<double>(id)),
                            Napi::Number::New(env, static_cast<double>(ino)),
                            Napi::Number::New(env, static_cast<double>(offset)),
                            Napi::Number::New(env, static_cast<double>(length)), bytes},
                           context_);
}

void Session::Read(fuse_req_t request, const Wanted& wanted) {
  const Part* part = wanted.offset == 0 ? nullptr : listings_.Find(wanted);
  if (part) return Reply(request, wanted, *part);
  const uint64_t id = next_id_;
  open_[id].wanted = wanted;
  Ask(request, kReaddir, wanted.ino, AfterOf(wanted.offset));
}

void Session::Listed(uint64_t id, Part part) {
  const auto found = open_.find(id);
  if (found == open_.end()) return;
  const Wanted wanted = found->second.wanted;
  part.ino = wanted.ino;
  part.after = AfterOf(wanted.offset);
  Reply(Take(id), wanted, listings_.Keep(std::move(part)));
}

void Session::Reply(fuse_req_t request, const Wanted& wanted, const Part& part) {
  if (listing_.size() < wanted.length) listing_.resize(wanted.length);
  size_t filled = 0;
  const auto add = [&](const std::string& name, const fuse_entry_param& entry, off_t next) {
    char* const room = listing_.data() + filled;
    const size_t left = wanted.length - filled;
    const size_t needed = wanted.plus ? fuse_add_direntry_plus(request, room, left, name.c_str(), &entry, next)
                                      : fuse_add_direntry(request, room, left, name.c_str(), &entry.attr, next);
    if (needed > left) return false;
    filled += needed;
    return true;
  };
  bool fits = true;
  for (off_t at = wanted.offset; fits && at < kDots; at++) {
    fuse_entry_param entry{};
    entry.attr.st_mode = S_IFDIR;
    entry.attr.st_ino = wanted.ino;
    fits = add(at == 0 ? "." : "..", entry, at + 1);
  }
  for (size_t i = part.Before(wanted).value(); fits && i < part.ends.size(); i++) {
    const size_t start = i == 0 ? 0 : part.ends[i - 1];
    const std::string name(part.names.data() + start, part.ends[i] - start);
    fits = add(name, Known(part.attributes.data() + i * kFields), part.offsets[i] + kDots);
  }
  fuse_reply_buf(request, listing_.data(), filled);
  if (filled == 0) listings_.Drop(part);
}

void Session::Receive() {
  const std::shared_ptr<Session> alive = self_;
  const Napi::HandleScope scope(on_request_.Env());
  for (int i = 0; i < kBatch; i++) {
    const int length = fuse_session_receive_buf(session_, &buffer_);
    if (length == -EINTR) continue;
    if (length == -EAGAIN) return;
    if (length <= 0) return End();
    fuse_session_process_buf(session_, &buffer_);
    for (const uint64_t id : std::exchange(interrupted_, {}))
      if (fuse_req_t request = Take(id)) fuse_reply_err(request, EINTR);
  }
}

fuse_req_t Session::Take(uint64_t id) {
  const auto found = open_.find(id);
  if (found == open_.end()) return nullptr;
  fuse_req_t request = found->second.request;
  open_.erase(found);
  return request;
}

std::vector<uint64_t> Session::Expire(Clock::duration age) {
  std::vector<uint64_t> ids;
  const auto now = Clock::now();
  for (const auto& [id, open] : open_)
    if (now - open.since > age) ids.push_back(id);
  for (const uint64_t id : ids) fuse_reply_err(Take(id), EIO);
  return ids;
}

void Session::End() {
  uv_poll_stop(poll_);
  uv_close(reinterpret_cast<uv_handle_t*>(poll_), [](uv_handle_t* handle) { delete reinterpret_cast<uv_poll_t*>(handle); });
  Expire(Clock::duration::min());
  notifier_.reset();
  fuse_session_unmount(session_);
  fuse_session_destroy(session_);
  std::free(buffer_.mem);
  const Napi::Env env = on_end_.Env();
  on_end_.MakeCallback(env.Global(), {}, context_);
  self_.reset();
}

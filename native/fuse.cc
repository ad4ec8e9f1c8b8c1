// libfuse 3's low-level interface for src/fuse/: a read-only file system whose requests are answered by JavaScript.
//
// Exports mount(mountpoint, options, onRequest, onEnd) -> session. Requests are read by the main thread, whenever its event loop
// finds some: another thread would only cost two more wake-ups for each. Those that JavaScript has to answer become a call
// onRequest(operation, id, ino, offset, length, name | undefined). Exactly one of the session's answers is to be given for an id, at
// any time; one for an id that is not open any more (answered, interrupted, expired) is ignored. onEnd() comes once, when the
// kernel has let go of the file system; afterwards nothing is left.
//
// Attributes come in `session.attributes`, thirteen doubles: ino, mode with type, nlink, uid, gid, size, mtime s, mtime ns, rdev,
// seconds that the kernel may trust the name, and the attributes, blocks of 512 bytes, 1 if it has extended attributes (ACLs are
// such). A size of NaN: only ino and mode are known. JavaScript is asked for extended attributes only of what has some.
//
// Directories are not opened: a listing is asked for when its reading begins, kept here until it ends, and from then on in the
// kernel's cache, until the directory's mtime is another one.

#define FUSE_USE_VERSION 310
#include <fuse3/fuse_lowlevel.h>
#include <fcntl.h>
#include <napi.h>
#include <uv.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace {

enum Operation { kLookup, kGetattr, kReadlink, kReaddir, kRead, kStatfs, kGetxattr, kListxattr };

constexpr size_t kFields = 13;
// Requests that are read before the event loop does something else.
constexpr int kBatch = 64;

constexpr size_t kMaxRead = 1 << 20;
// What programs are told to read at once.
constexpr blksize_t kPreferredRead = 1 << 17;

using Clock = std::chrono::steady_clock;

struct Directory {
  std::vector<char> names;
  // Where each name ends.
  std::vector<uint32_t> ends;
  std::vector<double> attributes;
};

// The whole content of a file.
struct File {
  fuse_ino_t ino;
  std::vector<char> bytes;
};

// What a reader of a directory wants of its listing.
struct Part {
  fuse_ino_t ino;
  size_t length;
  off_t offset;
  bool plus;
};

struct Open {
  fuse_req_t request;
  Clock::time_point since;
  // Of a kReaddir.
  Part part;
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

fuse_entry_param EntryOf(const double* fields) {
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

// Tells the kernel what it did not ask for: contents for its page cache, names that it is to forget. In a thread of its own, because
// the kernel makes it wait for a page that somebody is just reading, and for a directory that somebody is just looking into, and it is
// the main thread that answers them.
class Notifier {
 public:
  using Notice = std::function<void(fuse_session*)>;

  explicit Notifier(fuse_session* session) : session_(session), thread_([this] { Run(); }) {}

  ~Notifier() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ended_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

  void Push(Notice notice) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      notices_.push_back(std::move(notice));
    }
    changed_.notify_one();
  }

 private:
  void Run() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return ended_ || !notices_.empty(); });
      if (ended_) return;
      const std::vector<Notice> notices = std::exchange(notices_, {});
      lock.unlock();
      for (const Notice& notice : notices) notice(session_);
      lock.lock();
    }
  }

  fuse_session* session_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Notice> notices_;
  bool ended_ = false;
  // Last: it begins when all else is there.
  std::thread thread_;
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
  // Answers with a part of a listing, which JavaScript is asked for when its reading begins.
  void Read(fuse_req_t request, const Part& part);
  void Listed(uint64_t id, Directory directory);
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
  void Reply(fuse_req_t request, const Part& part, const Directory& directory);
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
  std::unordered_set<fuse_ino_t> with_xattrs_;
  std::vector<uint64_t> interrupted_;
  uint64_t next_id_ = 1;
};

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

void ReplyXattr(fuse_req_t request, size_t size, const char* bytes, size_t length) {
  if (size == 0) {
    fuse_reply_xattr(request, length);
  } else if (length > size) {
    fuse_reply_err(request, ERANGE);
  } else {
    fuse_reply_buf(request, bytes, length);
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

void Session::Read(fuse_req_t request, const Part& part) {
  const Directory* directory = part.offset == 0 ? nullptr : listings_.Find(part.ino);
  if (directory) return Reply(request, part, *directory);
  const uint64_t id = next_id_;
  open_[id].part = part;
  Ask(request, kReaddir, part.ino);
}

void Session::Listed(uint64_t id, Directory directory) {
  const auto found = open_.find(id);
  if (found == open_.end()) return;
  const Part part = found->second.part;
  Reply(Take(id), part, listings_.Keep(part.ino, std::move(directory)));
}

// Offset 0 is before `.`, 1 before `..`, i + 2 before entry i.
void Session::Reply(fuse_req_t request, const Part& part, const Directory& directory) {
  std::vector<char> buffer(part.length);
  size_t filled = 0;
  for (auto at = static_cast<size_t>(part.offset); at < directory.ends.size() + 2; at++) {
    fuse_entry_param entry{};
    std::string name = at == 0 ? "." : "..";
    if (at < 2) {
      entry.attr.st_mode = S_IFDIR;
      entry.attr.st_ino = part.ino;
    } else {
      const size_t i = at - 2;
      const size_t start = i == 0 ? 0 : directory.ends[i - 1];
      name.assign(directory.names.data() + start, directory.ends[i] - start);
      entry = Known(directory.attributes.data() + i * kFields);
    }
    const auto next = static_cast<off_t>(at + 1);
    char* const room = buffer.data() + filled;
    const size_t left = part.length - filled;
    const size_t needed = part.plus ? fuse_add_direntry_plus(request, room, left, name.c_str(), &entry, next)
                                    : fuse_add_direntry(request, room, left, name.c_str(), &entry.attr, next);
    if (needed > left) break;
    filled += needed;
  }
  fuse_reply_buf(request, buffer.data(), filled);
  if (filled == 0) listings_.Drop(part.ino);
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

uint64_t IdOf(const Napi::Value& value) { return static_cast<uint64_t>(value.As<Napi::Number>().Int64Value()); }

Directory ListingOf(const Napi::CallbackInfo& info) {
  const auto names = info[1].As<Napi::Buffer<char>>();
  const auto ends = info[2].As<Napi::Uint32Array>();
  const auto attributes = info[3].As<Napi::Float64Array>();
  const size_t count = ends.ElementLength();
  const bool fits = attributes.ElementLength() == count * kFields && (count == 0 || ends[count - 1] <= names.Length()) &&
                    std::is_sorted(ends.Data(), ends.Data() + count);
  if (!fits) throw Napi::RangeError::New(info.Env(), "a listing whose parts do not fit together");
  return {{names.Data(), names.Data() + names.Length()},
          {ends.Data(), ends.Data() + count},
          {attributes.Data(), attributes.Data() + attributes.ElementLength()}};
}

void Method(Napi::Object object, const char* name, std::function<Napi::Value(const Napi::CallbackInfo&)> method) {
  object.Set(name, Napi::Function::New(object.Env(), std::move(method), name));
}

Napi::Value MountSession(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (info.Length() != 4 || !info[0].IsString() || !info[1].IsArray() || !info[2].IsFunction() || !info[3].IsFunction())
    throw Napi::TypeError::New(env, "mount(mountpoint, options, onRequest, onEnd)");
  const auto list = info[1].As<Napi::Array>();
  std::vector<std::string> options;
  for (uint32_t i = 0; i < list.Length(); i++) options.push_back(list.Get(i).As<Napi::String>());
  auto session = std::make_shared<Session>(env, info[2].As<Napi::Function>(), info[3].As<Napi::Function>());
  session->Mount(env, info[0].As<Napi::String>(), options);

  auto object = Napi::Object::New(env);
  object.Set("attributes", session->attributes.Value());
  Method(object, "entry", [session](const Napi::CallbackInfo& call) -> Napi::Value {
    fuse_req_t request = session->Take(IdOf(call[0]));
    if (!request) return call.Env().Undefined();
    const fuse_entry_param entry = session->Known(session->attributes.Value().Data());
    fuse_reply_entry(request, &entry);
    return call.Env().Undefined();
  });
  Method(object, "attr", [session](const Napi::CallbackInfo& call) -> Napi::Value {
    fuse_req_t request = session->Take(IdOf(call[0]));
    if (!request) return call.Env().Undefined();
    const fuse_entry_param entry = session->Known(session->attributes.Value().Data());
    fuse_reply_attr(request, &entry.attr, entry.attr_timeout);
    return call.Env().Undefined();
  });
  Method(object, "error", [session](const Napi::CallbackInfo& call) -> Napi::Value {
    if (fuse_req_t request = session->Take(IdOf(call[0]))) fuse_reply_err(request, call[1].As<Napi::Number>());
    return call.Env().Undefined();
  });
  Method(object, "data", [session](const Napi::CallbackInfo& call) -> Napi::Value {
    const auto bytes = call[1].As<Napi::Buffer<char>>();
    if (fuse_req_t request = session->Take(IdOf(call[0]))) fuse_reply_buf(request, bytes.Data(), bytes.Length());
    return call.Env().Undefined();
  });
  Method(object, "xattr", [session](const Napi::CallbackInfo& call) -> Napi::Value {
    const auto size = static_cast<size_t>(call[1].As<Napi::Number>().Int64Value());
    const auto bytes = call[2].As<Napi::Buffer<char>>();
    if (fuse_req_t request = session->Take(IdOf(call[0]))) ReplyXattr(request, size, bytes.Data(), bytes.Length());
    return call.Env().Undefined();
  });
  Method(object, "link", [session](const Napi::CallbackInfo& call) -> Napi::Value {
    const auto bytes = call[1].As<Napi::Buffer<char>>();
    const std::string target(bytes.Data(), bytes.Length());
    if (fuse_req_t request = session->Take(IdOf(call[0]))) fuse_reply_readlink(request, target.c_str());
    return call.Env().Undefined();
  });
  Method(object, "listing", [session](const Napi::CallbackInfo& call) -> Napi::Value {
    session->Listed(IdOf(call[0]), ListingOf(call));
    return call.Env().Undefined();
  });
  Method(object, "space", [session](const Napi::CallbackInfo& call) -> Napi::Value {
    struct statvfs space {};
    space.f_bsize = space.f_frsize = static_cast<unsigned long>(call[1].As<Napi::Number>().Int64Value());
    space.f_blocks = static_cast<fsblkcnt_t>(call[2].As<Napi::Number>().Int64Value());
    space.f_files = static_cast<fsfilcnt_t>(call[3].As<Napi::Number>().Int64Value());
    space.f_namemax = 255;
    if (fuse_req_t request = session->Take(IdOf(call[0]))) fuse_reply_statfs(request, &space);
    return call.Env().Undefined();
  });
  Method(object, "withoutXattrs", [session](const Napi::CallbackInfo& call) -> Napi::Value {
    session->without_xattrs = true;
    return call.Env().Undefined();
  });
  Method(object, "expire", [session](const Napi::CallbackInfo& call) -> Napi::Value {
    const auto expired = session->Expire(std::chrono::milliseconds(call[0].As<Napi::Number>().Int64Value()));
    auto ids = Napi::Array::New(call.Env(), expired.size());
    for (uint32_t i = 0; i < expired.size(); i++) ids.Set(i, Napi::Number::New(call.Env(), static_cast<double>(expired[i])));
    return ids;
  });
  Method(object, "store", [session](const Napi::CallbackInfo& call) -> Napi::Value {
    const auto inos = call[0].As<Napi::Array>();
    const auto contents = call[1].As<Napi::Array>();
    std::vector<File> files;
    for (uint32_t i = 0; i < inos.Length(); i++) {
      const auto bytes = contents.Get(i).As<Napi::Buffer<char>>();
      files.push_back({IdOf(inos.Get(i)), {bytes.Data(), bytes.Data() + bytes.Length()}});
    }
    session->Store(std::move(files));
    return call.Env().Undefined();
  });
  Method(object, "forget", [session](const Napi::CallbackInfo& call) -> Napi::Value {
    const auto name = call[1].As<Napi::Buffer<char>>();
    session->Forget(IdOf(call[0]), {name.Data(), name.Length()});
    return call.Env().Undefined();
  });
  return object;
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("mount", Napi::Function::New(env, MountSession, "mount"));
  return exports;
}

}  // namespace

NODE_API_MODULE(fuse, Init)

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
// Directories are not opened: a listing is asked for when its reading begins, part by part, which are kept here while they are read, and
// from then on in the kernel's cache, until the directory's mtime is another one.

#include <sys/uio.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fuse-session.h"

namespace {

uint64_t IdOf(const Napi::Value& value) { return static_cast<uint64_t>(value.As<Napi::Number>().Int64Value()); }

Part PartOf(const Napi::CallbackInfo& info) {
  const auto names = info[1].As<Napi::Buffer<char>>();
  const auto ends = info[2].As<Napi::Uint32Array>();
  const auto offsets = info[3].As<Napi::Float64Array>();
  const auto attributes = info[4].As<Napi::Float64Array>();
  const size_t count = ends.ElementLength();
  const bool is_last = info[5].As<Napi::Boolean>();
  const bool fits = offsets.ElementLength() == count && attributes.ElementLength() == count * kFields && (count > 0 || is_last) &&
                    (count == 0 || ends[count - 1] <= names.Length()) && std::is_sorted(ends.Data(), ends.Data() + count);
  if (!fits) throw Napi::RangeError::New(info.Env(), "a listing whose pieces do not fit together");
  Part part{};
  part.offsets.assign(offsets.Data(), offsets.Data() + count);
  part.names.assign(names.Data(), names.Data() + names.Length());
  part.ends.assign(ends.Data(), ends.Data() + count);
  part.attributes.assign(attributes.Data(), attributes.Data() + attributes.ElementLength());
  part.is_last = is_last;
  return part;
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
    const auto list = call[1].As<Napi::Array>();
    std::vector<iovec> pieces(list.Length());
    for (uint32_t i = 0; i < list.Length(); i++) {
      const auto bytes = list.Get(i).As<Napi::Buffer<char>>();
      pieces[i] = {bytes.Data(), bytes.Length()};
    }
    if (fuse_req_t request = session->Take(IdOf(call[0]))) fuse_reply_iov(request, pieces.data(), static_cast<int>(pieces.size()));
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
    session->Listed(IdOf(call[0]), PartOf(call));
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

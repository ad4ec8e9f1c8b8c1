#pragma once

#include <napi.h>

// unpack() of frames.cc, described in unpack.cc.
Napi::Value NewUnpack(const Napi::CallbackInfo& info);

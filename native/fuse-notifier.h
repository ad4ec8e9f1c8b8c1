// Tells the kernel what it did not ask for.

#pragma once

#define FUSE_USE_VERSION 310
#include <fuse3/fuse_lowlevel.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

// Contents for its page cache, names that it is to forget. In a thread of its own, because
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

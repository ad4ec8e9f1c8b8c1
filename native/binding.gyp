{
  'target_defaults': {
    'include_dirs': ["<!(node -p \"require('node-addon-api').include_dir\")"],
    # Without the last, a worker thread that is terminated while a job runs aborts the whole process.
    'defines': ['NAPI_VERSION=8', 'NAPI_CPP_EXCEPTIONS', 'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS'],
    'cflags_cc!': ['-fno-exceptions', '-std=gnu++20', '-std=gnu++17'],
    'cflags_cc': ['-std=c++17', '-Wall', '-Wextra'],
  },
  'targets': [
    { 'target_name': 'tsdup', 'sources': ['librsync.cc', 'rsync-jobs.cc', 'block-sums.cc'], 'libraries': ['-lrsync'] },
    {
      'target_name': 'fuse',
      'sources': ['fuse.cc', 'fuse-session.cc'],
      'cflags_cc': ['<!@(pkg-config --cflags fuse3)'],
      'libraries': ['<!@(pkg-config --libs fuse3)'],
    },
    # OpenSSL is Node's own: its program exports it, its headers declare it.
    { 'target_name': 'frames', 'sources': ['frames.cc', 'unpack.cc'], 'libraries': ['-lisal'] },
    { 'target_name': 'crypto', 'sources': ['crypto.cc'] },
    { 'target_name': 'directory', 'sources': ['directory.cc'] },
    { 'target_name': 'notify', 'sources': ['notify.cc'] },
    { 'target_name': 'inflate', 'sources': ['inflate.cc'], 'libraries': ['-lisal'] },
    { 'target_name': 'posix', 'sources': ['posix.cc'] },
    # SQLite loads it, not Node; better-sqlite3 has the SQLite, and its headers.
    {
      'target_name': 'rows',
      'sources': ['rows.cc'],
      'include_dirs': ["<!(node -p \"require('path').join(require.resolve('better-sqlite3/package.json'), '../deps/sqlite3')\")"],
    },
  ],
}

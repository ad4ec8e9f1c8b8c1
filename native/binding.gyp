{
  'targets': [
    {
      'target_name': 'tsdup',
      'sources': ['librsync.cc'],
      'dependencies': [
        "<!(node -p \"require('node-addon-api').targets\"):node_addon_api_except",
      ],
      # Without the second, a worker thread that is terminated while a job runs aborts the whole process.
      'defines': ['NAPI_VERSION=8', 'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS'],
      'cflags_cc!': ['-std=gnu++20', '-std=gnu++17'],
      'cflags_cc': ['-std=c++17', '-Wall', '-Wextra'],
      'libraries': ['-lrsync'],
    },
  ],
}

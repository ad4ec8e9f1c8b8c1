#!/bin/sh
# All tests, or the files named: scripts/test.sh target volume
set -eu
cd "$(dirname "$0")/.."
files=build/test/*.test.js
if [ $# -gt 0 ]; then files=$(for name in "$@"; do echo "build/test/$name.test.js"; done); fi
# Two files at a time: many of them wait for other programs most of the time.
exec node --test --test-concurrency=2 --test-timeout=1800000 $files

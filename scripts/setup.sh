#!/bin/sh
# Makes a checkout ready to run: Debian packages, npm packages, the native addon, the compiled code. Does only what
# is missing, and says what it does. `npm run demo`, `npm test` and `npm run bench` call it themselves.
#
#     scripts/setup.sh           what using and testing tsdup needs
#     scripts/setup.sh --bench   also the programs it is measured against
set -eu
cd "$(dirname "$0")/.."

say() { echo "setup: $*"; }
fail() { echo "setup: $*" >&2; exit 1; }

node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
	fail "tsdup needs Node 20.19 or newer; this is $(node --version)."

# To build and to mount; then what the tests compare with; then what the benchmark compares with.
packages="g++ make python3 librsync-dev libisal-dev libfuse3-dev pkg-config libfuse2 fuse3 gnupg bash"
packages="$packages duplicity duply python3-boto3 radosgw ceph-mon ceph-osd curl rsync rdiff openssl xxd xz-utils systemd man-db mandoc zsh fish bsdutils attr acl faketime"
[ "${1:-}" = --bench ] && packages="$packages restic borgbackup python3-pyfuse3 linux-source-6.1 time"

missing=""
for package in $packages; do
	dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
	command -v apt-get >/dev/null || fail "please install what is called on Debian:$missing"
	if [ "$(id -u)" -eq 0 ]; then as_root=""; elif sudo -n true 2>/dev/null; then as_root="sudo -n"; else
		fail "please run as root: apt-get install --no-install-recommends$missing"
	fi
	say "installing Debian packages:$missing"
	log=$(mktemp)
	{ $as_root apt-get update -q && DEBIAN_FRONTEND=noninteractive \
		$as_root apt-get install -y -q --no-install-recommends $missing; } >"$log" 2>&1 ||
		{ tail -20 "$log" >&2; fail "apt-get could not install them."; }
	rm -f "$log"
fi

# Headers that came with this Node, where there are any: without them node-gyp would download some.
prefix=$(node -p 'require("path").dirname(require("path").dirname(process.execPath))')
if [ -f "$prefix/include/node/node_api.h" ]; then export npm_config_nodedir="$prefix"; fi

# npm notes what it installed; a lockfile that is newer has not been installed yet.
if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ] ||
	! node -e 'require("better-sqlite3")(":memory:")' 2>/dev/null; then
	say "installing npm packages"
	npm ci --no-audit --no-fund --loglevel=error
fi

release=native/build/Release
loads() { node -e 'for (const name of ["tsdup", "crypto", "frames", "directory", "inflate", "fuse", "notify", "posix"]) require(`./'$release'/${name}.node`)' 2>/dev/null; }
if ! loads || [ ! -f $release/rows.node ] || [ -n "$(find native -maxdepth 1 -type f -newer $release/inflate.node)" ]; then
	say "building the native addon"
	log=$(mktemp)
	(cd native && ../node_modules/.bin/node-gyp rebuild) >"$log" 2>&1 || { tail -30 "$log" >&2; fail "it does not build."; }
	rm -f "$log"
fi

if [ ! -f build/.complete ] || [ -n "$(find src test bench tsconfig.json -newer build/.complete 2>/dev/null)" ]; then
	say "compiling"
	rm -rf build
	node_modules/.bin/tsc -p .
	node scripts/man.js
	touch build/.complete
fi

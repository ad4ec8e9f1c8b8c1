#!/bin/bash
# The main job, shown from end to end in a folder of its own: back up twice, mount, copy a file out of each snapshot,
# unmount, and let duplicity itself check what was written.
#
#     npm run demo            the target is a folder
#     npm run demo -- --s3    the target is a bucket on a real S3 server (Ceph radosgw) on this machine
set -eu
cd "$(dirname "$0")/.."
project=$PWD

work=$(mktemp -d -t tsdup-demo.XXXXXX)
export HOME=$work/home XDG_CACHE_HOME=$work/home/.cache TSDUP_PROFILES=$work/profiles
mkdir -p "$HOME"
cleanup() {
	"$project/bin/tsdup.js" -q umount "$work/snapshots" 2>/dev/null || true
	[ -d "$work/s3" ] && "$project/scripts/radosgw.sh" stop "$work/s3" >/dev/null 2>&1 || true
	rm -rf "$work"
}
trap cleanup EXIT
tsdup() { "$project/bin/tsdup.js" "$@"; }
show() {
	printf '\n$ %s\n' "$*"
	"$@"
}

[ -e /dev/fuse ] || { echo "There is no /dev/fuse here: mounting needs FUSE." >&2; exit 1; }

mkdir -p "$work/data"
cp -a "$project/src" "$project/package.json" "$work/data/"
echo "the first version" >"$work/data/notes.txt"

echo "# A profile says what to back up, where to, and how it is encrypted."
show tsdup create demo --no-questions
if [ "${1:-}" = --s3 ]; then
	echo "# Starting an S3 server …"
	port=$(node -p 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); }); ""')
	eval "$("$project/scripts/radosgw.sh" start "$work/s3" $port | grep =)"
	export AWS_ACCESS_KEY_ID=$access_key AWS_SECRET_ACCESS_KEY=$secret_key AWS_DEFAULT_REGION=us-east-1
	/usr/bin/python3 -c "import boto3; boto3.client('s3', endpoint_url='$endpoint').create_bucket(Bucket='demo')"
	duplicity_url=boto3+s3://demo/backups
	duplicity_options="--s3-endpoint-url $endpoint"
	cat >"$TSDUP_PROFILES/demo/conf" <<-CONF
		SOURCE='$work/data'
		TARGET='s3:///demo/backups'
		DUPL_PARAMS='--s3-endpoint-url $endpoint'
		export AWS_ACCESS_KEY_ID='$access_key' AWS_SECRET_ACCESS_KEY='$secret_key'
		GPG_PW='a passphrase for the demo'
	CONF
else
	duplicity_url=file://$work/target
	cat >"$TSDUP_PROFILES/demo/conf" <<-CONF
		SOURCE='$work/data'
		TARGET='file://$work/target'
		GPG_PW='a passphrase for the demo'
	CONF
fi
printf '\n# its conf, edited:\n'
sed 's/^/    /' "$TSDUP_PROFILES/demo/conf"

show tsdup backup demo
echo "the second version, a little longer" >"$work/data/notes.txt"
rm "$work/data/package.json"
show tsdup backup demo
show tsdup status demo

mkdir "$work/snapshots"
cd "$work"
show tsdup mount snapshots
show ls -l snapshots
for snapshot in snapshots/*_*; do
	show cp "$snapshot/notes.txt" "copy-of-$(basename "$snapshot").txt"
	show cat "copy-of-$(basename "$snapshot").txt"
done
show diff -r "$work/data" snapshots/latest
echo "(no difference)"
show tsdup umount snapshots

printf '\n# duplicity, which knows nothing of tsdup, compares the backup with the source:\n'
export PASSPHRASE='a passphrase for the demo'
show duplicity verify --compare-data --archive-dir "$work/duplicity" ${duplicity_options:-} "$duplicity_url" "$work/data" |
	grep -v -e '^Copying' -e '^Synchronizing'
printf '\nThe demo is complete.\n'

#!/bin/bash
# A Ceph S3 server (one mon, one osd in memory, one radosgw) on loopback, for the tests and for trying tsdup.
#
#   scripts/radosgw.sh start DIR [PORT]    start; prints endpoint, access key and secret key, one `name=value` per line
#   scripts/radosgw.sh stop DIR            stop; no process is left behind, DIR with the logs stays
#
# Everything lives in DIR. PORT (default 7480) is the S3 port; the monitor takes PORT+1 and PORT+2, so instances on
# ports at least 3 apart do not collide. Objects are kept in memory only: about 1 GB, and what is stored.
set -euo pipefail

ACCESS_KEY=TSDUPTESTACCESSKEY
SECRET_KEY=tsdupTestSecretKey/With+Specials0123456789

usage() { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
fail() { echo "radosgw.sh: $*" >&2; exit 1; }

[ $# -ge 2 ] || usage
ACTION=$1
DIR=$(realpath -m "$2")
PORT=${3:-7480}
CONF=$DIR/ceph.conf

# A pid file may be older than the last reboot: only a process that was started with our ceph.conf is ours.
ours() { tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -qF -- "-c $CONF "; }

stop_daemon() {
	local file=$DIR/$1.pid pid i
	[ -f "$file" ] || return 0
	pid=$(cat "$file")
	if ours "$pid"; then
		kill "$pid" 2>/dev/null || true
		for i in $(seq 50); do ours "$pid" || break; sleep 0.1; done
		if ours "$pid"; then kill -9 "$pid" 2>/dev/null || true; fi
		while ours "$pid"; do sleep 0.05; done
	fi
	rm -f "$file"
}

stop_all() { for name in rgw osd mon; do stop_daemon $name; done; }

# In a session of its own, so that Ctrl-C on the starter does not reach it.
start_daemon() {
	local name=$1
	shift
	setsid "$@" -f </dev/null >"$DIR/$name.out" 2>&1 &
	echo $! >"$DIR/$name.pid"
}

run() { "$@" </dev/null >>"$DIR/setup.out" 2>&1 || { tail -5 "$DIR/setup.out" >&2; fail "\`$1\` failed, see $DIR/setup.out"; }; }

await() { # SECONDS NAME COMMAND...: until the command succeeds, while the daemon NAME lives
	local deadline=$((SECONDS + $1)) name=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		kill -0 "$(cat "$DIR/$name.pid")" 2>/dev/null || { tail -5 "$DIR/$name.out" >&2; fail "$name ended, see $DIR/$name.out"; }
		[ $SECONDS -lt $deadline ] || fail "$name is not ready after $1 s, see the logs in $DIR"
		sleep 0.05
	done
}

ceph_() { timeout 15 ceph -c "$CONF" --connect-timeout 10 "$@" </dev/null; }
osd_is_up() { ceph_ osd stat | grep -q '1 up'; }
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

check_packages() {
	local missing=() pair
	for pair in radosgw:radosgw ceph-mon:ceph-mon ceph-osd:ceph-osd ceph:ceph-common radosgw-admin:ceph-common \
		ceph-authtool:ceph-common monmaptool:ceph-base; do
		command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
	done
	[ ${#missing[@]} -eq 0 ] || fail "missing packages: $(printf '%s\n' "${missing[@]}" | sort -u | tr '\n' ' ')
install them with: apt-get install -y --no-install-recommends radosgw ceph-mon ceph-osd"
}

# What makes it quick: a short paxos interval and few placement groups. What lets a test's clock jump by days: keys between the
# daemons would expire, and an OSD not heard of for 900 s be taken for dead; then requests hang.
write_conf() {
	cat >"$CONF" <<CFG
[global]
fsid = $FSID
mon_initial_members = a
mon_host = $MON_ADDRESS
public_network = 127.0.0.0/8
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
auth_allow_insecure_global_id_reclaim = true
auth_mon_ticket_ttl = 1000000000
auth_service_ticket_ttl = 1000000000
mon_osd_report_timeout = 1000000000
mon_data = $DIR/mon
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 2000
mon_osd_min_up_ratio = 0
mon_data_avail_warn = 2
mon_data_avail_crit = 1
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
osd_data = $DIR/osd
osd_objectstore = memstore
memstore_device_bytes = 8589934592
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 2
osd_pool_default_pgp_num = 2
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
rgw_data = $DIR/rgw
rgw_frontends = beast endpoint=127.0.0.1:$PORT
rgw_rados_pool_pg_num_min = 2
rgw_run_sync_thread = false
keyring = $KEYRING
run_dir = $DIR
admin_socket =
pid_file =
log_file = $DIR/\$name.log
CFG
}

start() {
	check_packages
	stop_all
	for port in "$PORT" $((PORT + 1)) $((PORT + 2)); do
		! listens "$port" || fail "port $port is in use, choose another PORT"
	done
	umask 077
	mkdir -p "$DIR"
	rm -rf "$DIR"/{mon,osd,rgw,keyring,monmap} "$DIR"/*.{out,log}
	mkdir "$DIR"/{mon,osd,rgw}
	FSID=$(cat /proc/sys/kernel/random/uuid)
	MON_ADDRESS="[v2:127.0.0.1:$((PORT + 1)),v1:127.0.0.1:$((PORT + 2))]"
	KEYRING=$DIR/keyring
	write_conf
	trap 'stop_all' EXIT

	run ceph-authtool --create-keyring "$KEYRING" --gen-key -n mon. --cap mon 'allow *'
	run ceph-authtool "$KEYRING" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
	run ceph-authtool "$KEYRING" --gen-key -n client.rgw.a --cap mon 'allow rw' --cap osd 'allow rwx'
	run ceph-authtool "$KEYRING" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
	run monmaptool --create --fsid "$FSID" --addv a "$MON_ADDRESS" "$DIR/monmap"
	run ceph-mon -c "$CONF" -i a --mkfs --monmap "$DIR/monmap" --keyring "$KEYRING"
	start_daemon mon ceph-mon -c "$CONF" -i a
	await 15 mon ceph_ -s

	local uuid
	uuid=$(cat /proc/sys/kernel/random/uuid)
	run ceph_ osd new "$uuid" 0
	run ceph-osd -c "$CONF" -i 0 --mkfs --osd-uuid "$uuid"
	start_daemon osd ceph-osd -c "$CONF" -i 0
	await 15 osd osd_is_up

	run radosgw-admin -c "$CONF" user create --uid=tsdup --display-name=tsdup \
		--access-key="$ACCESS_KEY" --secret-key="$SECRET_KEY"
	start_daemon rgw radosgw -c "$CONF" -n client.rgw.a --keyring "$KEYRING"
	await 15 rgw listens "$PORT"

	trap - EXIT
	echo "endpoint=http://127.0.0.1:$PORT"
	echo "access_key=$ACCESS_KEY"
	echo "secret_key=$SECRET_KEY"
}

case $ACTION in
start) start ;;
stop) stop_all ;;
*) usage ;;
esac

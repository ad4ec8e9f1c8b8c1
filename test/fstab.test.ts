/** Mounting as the system does it: mount(8) with a line of fstab, and systemd with a unit, both as docs/mount.md has them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { profile, sandbox, tsdup } from './cli.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const HELPER = join(ROOT, 'bin/mount.fuse.tsdup');
const isRoot = process.getuid?.() === 0;

const box = sandbox();
const at = join(box.dir, 'mnt');
const documented = readFileSync(join(ROOT, 'docs/mount.md'), 'utf8');

/** The block of code after `<!-- test: NAME -->`. */
function block(name: string): string {
	const found = new RegExp(`<!-- test: ${name} -->\\n\`\`\`\\w+\\n(.*?)^\`\`\`$`, 'ms').exec(documented)?.[1];
	assert.ok(found, name);
	return found;
}

before(async () => {
	for (const folder of [at, join(box.dir, 'source')]) mkdirSync(folder);
	writeFileSync(join(box.dir, 'source/file'), 'of s3backup');
	const conf = `SOURCE='${box.dir}/source'\nTARGET='file://${box.dir}/target'\nGPG_PW='a passphrase of fstab'\n`;
	for (const name of ['s3backup', 'second']) profile(box, name, conf);
	const { code, stderr } = await tsdup(['backup', 's3backup'], box);
	assert.equal(code, 0, stderr);
});

after(() => box.remove());

/** Where /sbin/mount.fuse.tsdup is a link to the helper, and nobody else sees it: a mount table of its own. */
function asSystem(script: string, env: NodeJS.ProcessEnv): { stdout: string; stderr: string } {
	const sbin = join(box.dir, 'sbin');
	const prepare = `
		mkdir -p '${sbin}' && mount -t tmpfs sbin '${sbin}' && mkdir '${sbin}/old' '${sbin}/new' && mount --bind /usr/sbin '${sbin}/old'
		for program in /usr/sbin/*; do ln -s "${sbin}/old/$(basename "$program")" '${sbin}/new'; done
		ln -sf '${HELPER}' '${sbin}/new/mount.fuse.tsdup'
		mount --bind '${sbin}/new' /usr/sbin
	`;
	const { stdout, stderr } = spawnSync('unshare', ['-m', 'sh', '-c', prepare + script], {
		env,
		encoding: 'utf8',
	});
	return { stdout, stderr };
}

test('the line for fstab in docs/mount.md is mounted and unmounted by mount(8), without HOME', {
	skip: !isRoot,
}, () => {
	const fstab = join(box.dir, 'fstab');
	writeFileSync(fstab, block('fstab').replaceAll('/mnt/snapshots', at));
	const { HOME, ...env } = box.env;
	const { stdout, stderr } = asSystem(
		`mount -T '${fstab}' '${at}'; echo "mount: $?"
		cat '${at}/latest/file'; echo
		grep " ${at} " /proc/self/mounts
		mount -T '${fstab}' -a; echo "again: $?"
		umount '${at}'; echo "umount: $?"
		mount -t fuse.tsdup s3backup,second '${at}' -o noexec,umask=077; ls '${at}'; stat -c %a '${at}/second/latest/file'
		umount '${at}'
		mount -t fuse.tsdup absent '${at}'; echo "absent: $?"
		mount -t fuse.tsdup s3backup '${at}' -o frobnicate; echo "option: $?"`,
		env,
	);
	assert.match(stdout, /^mount: 0\nof s3backup\n/, stderr);
	assert.match(stdout, new RegExp(`^s3backup ${at} fuse\\.tsdup ro,nosuid,nodev,\\S*allow_other`, 'm'));
	assert.match(stdout, /^again: 0\numount: 0\ns3backup\nsecond\n700\nabsent: 1\noption: 1\n$/m, stderr);
	assert.match(stderr, /no profile "absent"/);
	assert.match(stderr, /unknown mount option frobnicate/);
	assert.ok(HOME);
});

test('the unit in docs/mount.md is one, and is told when the mount stands', () => {
	const unit = block('unit');
	const start: RegExpExecArray | null = /^ExecStart=(\S+) (.*)$/m.exec(unit);
	assert.ok(start);
	writeFileSync(
		join(box.dir, 'snapshots.service'),
		unit.replace(start[1] as string, join(ROOT, 'bin/tsdup.js')),
	);
	const verify = spawnSync('systemd-analyze', ['verify', join(box.dir, 'snapshots.service')], {
		encoding: 'utf8',
	});
	if (!verify.error) assert.doesNotMatch(verify.stderr, /snapshots\.service/);
	assert.match(unit, /^Type=notify$/m);
	// What systemd does: a socket for datagrams, of which the first says that the service is ready.
	for (const socket of [join(box.dir, 'notify'), `@${box.dir}/notify`]) {
		const script = `import os, socket, subprocess, sys
name = sys.argv[1]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(name.replace('@', chr(0)))
child = subprocess.Popen(sys.argv[2:], env={**os.environ, 'NOTIFY_SOCKET': name})
print(listener.recv(4096).decode(), os.path.ismount(sys.argv[-1]), child.pid)
child.terminate()
sys.exit(child.wait())`;
		const words: string[] = (start[2] as string).split(' ').slice(0, -1);
		const { status, stdout, stderr } = spawnSync(
			'/usr/bin/python3',
			['-c', script, socket, process.execPath, join(ROOT, 'bin/tsdup.js'), ...words, at],
			{ env: box.env, encoding: 'utf8', timeout: 120_000 },
		);
		assert.equal(status, 0, stderr);
		const pid = / True (\d+)\n$/.exec(stdout)?.[1];
		assert.equal(stdout, `READY=1\nSTATUS=Mounted at ${at}.\nMAINPID=${pid} True ${pid}\n`);
	}
});

/** Mounting and unmounting, as a person or a script does it: what is mounted, by which process, and how it ends. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Ended, ended, profile, sandbox, startTsdup, tsdup } from './cli.js';
import { until } from './until.js';

const MAIN = fileURLToPath(new URL('./tsdup.js', import.meta.url));
const PASSPHRASE = 'a passphrase of the mount commands test';

const box = sandbox();
const at = join(box.dir, 'mnt');
const other = join(box.dir, 'other');

before(async () => {
	mkdirSync(at);
	mkdirSync(other);
	for (const name of ['home', 'work']) {
		const source = join(box.dir, `source-${name}`);
		mkdirSync(source);
		writeFileSync(join(source, 'file'), `of ${name}`);
		profile(
			box,
			name,
			`SOURCE='${source}'\nTARGET='file://${box.dir}/target-${name}'\nGPG_PW='${PASSPHRASE}'\n`,
		);
		await ok(['backup', name]);
	}
});

after(() => box.remove());

async function ok(args: string[], env = box.env): Promise<Ended> {
	const run = await tsdup(args, { env });
	assert.equal(run.code, 0, run.stderr);
	return run;
}

const isMounted = (path: string) =>
	readFileSync('/proc/self/mounts', 'utf8').includes(` ${path} fuse.tsdup `);
const names = (folder: string) => execFileSync('ls', ['-A', folder]).toString().trim().split('\n');
const read = (...path: string[]) => execFileSync('cat', [join(...path)]).toString();

/** Of the process that serves a mount of this test. */
function holder(): number {
	const dir = join(box.env.XDG_CACHE_HOME as string, 'tsdup/mounts');
	const [record] = readdirSync(dir);
	return JSON.parse(readFileSync(join(dir, record as string), 'utf8')).pid;
}

test('the command returns when the tree can be listed, and says how to unmount', async () => {
	const { stdout } = await ok(['mount', '-p', 'home', at]);
	assert.equal(stdout, `Mounted at ${at}. To unmount: tsdup umount ${at}\n`);
	assert.equal(read(at, 'latest/file'), 'of home');
	assert.equal(
		(await ok(['--json', 'umount', at])).stdout,
		`{"summary":{"mountpoint":${JSON.stringify(at)}}}\n`,
	);
	assert.ok(!isMounted(at));
});

test('with several -p each profile is a folder', async () => {
	await ok(['mount', '-p', 'home', '-p', 'work', at]);
	assert.deepEqual(names(at), ['home', 'work']);
	assert.equal(read(at, 'home/latest/file'), 'of home');
	assert.equal(read(at, 'work/latest/file'), 'of work');
	assert.deepEqual(names(join(at, 'home')).slice(1), ['latest']);
	await ok(['umount', at]);
});

test('without -p it is the profile in TSDUP_PROFILE, or the only one', async () => {
	const choice = await tsdup(['mount', at], box);
	assert.equal(choice.code, 2);
	assert.match(choice.stderr, /Which profile\? .*home, work/);
	await ok(['mount', at], { ...box.env, TSDUP_PROFILE: 'work' });
	assert.equal(read(at, 'latest/file'), 'of work');
	await ok(['umount', at]);
	mkdirSync(join(box.dir, 'only'));
	execFileSync('cp', ['-a', join(box.env.TSDUP_PROFILES as string, 'home'), join(box.dir, 'only')]);
	await ok(['mount', at], { ...box.env, TSDUP_PROFILES: join(box.dir, 'only') });
	assert.equal(read(at, 'latest/file'), 'of home');
	await ok(['umount', at]);
});

test('--target mounts a collection without a profile, with PASSPHRASE', async () => {
	const url = `file://${box.dir}/target-home`;
	await ok(['mount', '--target', url, at], { ...box.env, PASSPHRASE });
	assert.equal(read(at, 'latest/file'), 'of home');
	await ok(['umount', at]);
	const { code } = await tsdup(['mount', '--target', url, '-p', 'home', at], box);
	assert.equal(code, 2);
});

test('-f stays, and SIGTERM or SIGINT unmounts and ends it well', async () => {
	for (const signal of ['SIGTERM', 'SIGINT'] as const) {
		const child = startTsdup(['mount', '-f', '-p', 'home', at], box);
		const end = ended(child);
		await until(() => isMounted(at), 10);
		assert.equal(read(at, 'latest/file'), 'of home');
		child.kill(signal);
		const { code, stderr } = await end;
		assert.equal(code, 0, stderr);
		assert.ok(!isMounted(at));
	}
});

test('-f in a terminal ends with the terminal', async () => {
	const script = `import os, pty, sys, time
pid, terminal = pty.fork()
if pid == 0: os.execv(sys.argv[1], sys.argv[1:])
while not os.path.ismount(sys.argv[-1]): time.sleep(.05)
os.close(terminal)
os.waitpid(pid, 0)`;
	// Node itself cannot end well without its terminal: the exit code says nothing.
	const { status, stderr } = spawnSync(
		'/usr/bin/python3',
		['-c', script, process.execPath, MAIN, 'mount', '-f', '-p', 'home', at],
		{ env: box.env, encoding: 'utf8', timeout: 60_000 },
	);
	assert.equal(status, 0, stderr);
	assert.ok(!isMounted(at));
});

test('a mount that was unmounted by other means ends its process', async () => {
	await ok(['mount', '-p', 'home', at]);
	const pid = holder();
	execFileSync('fusermount', ['-u', at]);
	await until(() => spawnSync('kill', ['-0', String(pid)]).status !== 0, 10);
});

test('a mount whose process was killed is cleared by the next mount, and by umount', async () => {
	for (const clear of [() => ok(['mount', '-p', 'home', at]), () => ok(['umount', at])]) {
		if (!isMounted(at)) await ok(['mount', '-p', 'home', at]);
		process.kill(holder(), 'SIGKILL');
		await until(() => spawnSync('ls', [at]).status !== 0, 10);
		await clear();
		if (isMounted(at)) assert.equal(read(at, 'latest/file'), 'of home');
	}
	assert.ok(!isMounted(at));
});

test('a --cache-size that is none is refused', async () => {
	const { code, stderr } = await tsdup(['mount', '-p', 'home', '--cache-size', 'much', at], box);
	assert.equal(code, 2);
	assert.match(stderr, /--cache-size much: write a number/);
});

test('-o allow_other stands in the mount table and lets others in, as far as the permissions go', async () => {
	if (process.getuid?.() !== 0) return;
	execFileSync('chmod', ['755', box.dir]);
	const asNobody = (path: string) =>
		spawnSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', 'cat', path]);
	await ok(['mount', '-p', 'home', '-o', 'allow_other', at]);
	assert.match(readFileSync('/proc/self/mounts', 'utf8'), new RegExp(` ${at} fuse\\.tsdup \\S*allow_other`));
	assert.equal(asNobody(join(at, 'latest/file')).stdout.toString(), 'of home');
	await ok(['umount', at]);
	await ok(['mount', '-p', 'home', at]);
	assert.match(asNobody(join(at, 'latest/file')).stderr.toString(), /Permission denied/);
	await ok(['umount', at]);
	await ok(['mount', '-p', 'home', '-o', 'allow_other,umask=077,uid=1234', at]);
	assert.equal(execFileSync('stat', ['-c', '%a %u', join(at, 'latest/file')]).toString(), '700 1234\n');
	assert.match(asNobody(join(at, 'latest/file')).stderr.toString(), /Permission denied/);
	await ok(['umount', at]);
});

test('a mount within the source is not backed up, and one that would hide the source, the target or the cache is refused', async () => {
	const within = join(box.dir, 'source-home/mnt');
	const empty = join(box.dir, 'source-empty');
	for (const folder of [within, empty, join(box.dir, 'target-home/mnt')]) mkdirSync(folder);
	await ok(['mount', '-p', 'home', within]);
	await ok(['backup', 'home']);
	assert.ok(readdirSync(within).length > 0);
	assert.equal((await ok(['list', 'home'])).stdout, '.\nfile\n');
	await ok(['umount', within]);
	rmdirSync(within);
	profile(
		box,
		'empty',
		`SOURCE='${empty}'\nTARGET='file://${box.dir}/target-home'\nGPG_PW='${PASSPHRASE}'\n`,
	);
	const cache = join(box.env.XDG_CACHE_HOME as string, 'tsdup/mnt');
	mkdirSync(cache);
	for (const [place, says] of [
		[empty, /is the source of empty/],
		[join(box.dir, 'target-home/mnt'), /lies in the target of empty/],
		[cache, /lies in tsdup's cache/],
	] as const) {
		const { code, stderr } = await tsdup(['mount', '-p', 'empty', place], box);
		assert.equal(code, 2);
		assert.match(stderr, says);
		assert.ok(!isMounted(place));
	}
	rmdirSync(join(box.dir, 'target-home/mnt'));
});

test('umount without a mountpoint: the only mount there is, else the choices', () => {
	// In a mount table of its own, where no other test's mounts are.
	const script = `
		tsdup() { '${process.execPath}' '${MAIN}' "$@"; }
		umount -a -l -t fuse.tsdup
		tsdup umount; echo "none: $?"
		tsdup mount -p home '${at}' && tsdup umount; echo "one: $?"
		tsdup mount -p home '${at}' && tsdup mount -p work '${other}' && tsdup umount; echo "two: $?"
		tsdup umount '${at}' && tsdup umount; echo "again one: $?"`;
	const alone = process.getuid?.() === 0 ? ['unshare', '-m'] : ['unshare', '-Urm'];
	const { stdout, stderr } = spawnSync(alone[0] as string, [...alone.slice(1), 'sh', '-c', script], {
		env: box.env,
		encoding: 'utf8',
	});
	assert.deepEqual(
		stdout.match(/^(none|one|two|again one): \d+$/gm),
		['none: 2', 'one: 0', 'two: 2', 'again one: 0'],
		stderr,
	);
	assert.match(stderr, /nothing to unmount: you have no tsdup mount/);
	assert.match(
		stderr,
		new RegExp(`which mount\\? Name one of:\\n  ${at} \\(tsdup:home\\)\\n  ${other} \\(tsdup:work\\)`),
	);
});

test('what goes wrong in the background reaches the terminal, with its exit code, and nothing stays behind', async () => {
	profile(box, 'wrong', `TARGET='file://${box.dir}/target-home'\nGPG_PW='another one'\n`);
	profile(box, 'gone', `TARGET='file://${box.dir}/gone'\nGPG_PW='${PASSPHRASE}'\n`);
	for (const [name, expected, says] of [
		['wrong', 6, /^tsdup: The passphrase .*\n$/],
		['gone', 7, /^tsdup: The target folder .*gone does not exist.*\n$/],
	] as const) {
		const { code, stdout, stderr } = await tsdup(['mount', '-p', name, at], box);
		assert.equal(code, expected);
		assert.equal(stdout, '');
		assert.match(stderr, says);
		assert.ok(!isMounted(at));
	}
	assert.equal(spawnSync('pgrep', ['-f', `${MAIN} mount .*${at}`]).stdout.toString(), '');
});

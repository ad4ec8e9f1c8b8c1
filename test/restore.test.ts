/** `tsdup restore` and `fetch`: nothing is overwritten unasked, an interrupted one is gone on with, and a tar says the same. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
	chmodSync,
	cpSync,
	existsSync,
	lchownSync,
	lstatSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	symlinkSync,
	truncateSync,
	utimesSync,
	writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { duplicity, ended, profile, sandbox, startTsdup, tsdup } from './cli.js';
import { assertSameTree, describeTree } from './tree.js';

const MAIN = fileURLToPath(new URL('./tsdup.js', import.meta.url));
const PASSPHRASE = 'a passphrase of the restore test';
const isRoot = process.getuid?.() === 0;

const box = sandbox();
const source = join(box.dir, 'source');
const target = join(box.dir, 'target');

after(() => box.remove());

/** Two sets, so that files lie in pieces of both. */
before(async () => {
	mkdirSync(join(source, 'dir/closed'), { recursive: true });
	for (let i = 0; i < 300; i++) writeFileSync(join(source, `dir/file ${i}`), randomBytes(i * 40));
	writeFileSync(join(source, 'large'), randomBytes(9_000_000));
	writeFileSync(join(source, 'empty'), '');
	writeFileSync(Buffer.from(`${source}/odd\xff name`, 'latin1'), 'odd');
	writeFileSync(join(source, `dir/${'long'.repeat(50)}`), 'long');
	symlinkSync('dir/nowhere', join(source, 'link'));
	execFileSync('mkfifo', [join(source, 'fifo')]);
	writeFileSync(join(source, 'dir/closed/in it'), 'x');
	if (isRoot) {
		execFileSync('mknod', [join(source, 'device'), 'c', '1', '3']);
		lchownSync(join(source, 'dir/file 7'), 1234, 4321);
	}
	chmodSync(join(source, 'dir/file 8'), 0o4711);
	chmodSync(join(source, 'dir/closed'), 0o500);
	profile(box, 'p', `SOURCE='${source}'\nTARGET='file://${target}'\nGPG_PW='${PASSPHRASE}'\n`);
	for (let i = 0; i < 2; i++) {
		const large = readFileSync(join(source, 'large'));
		large.write(`of step ${i}`, 4_000_000 * i);
		writeFileSync(join(source, 'large'), large);
		const { code, stderr } = await tsdup(['backup', 'p'], box);
		assert.equal(code, 0, stderr);
	}
});

function place(): string {
	return join(mkdtempSync(join(box.dir, 'to-')), 'all');
}

function assertRestored(to: string, options: { leaveOut?: string[] } = {}): void {
	assertSameTree(describeTree(Buffer.from(to), options), describeTree(Buffer.from(source), options), to);
	const parts = readdirSync(to, { recursive: true }).filter((name) => String(name).includes('.tsdup-part-'));
	assert.deepEqual(parts, []);
}

async function restore(to: string, ...options: string[]): Promise<{ skipped: number; bytes: number }> {
	const { code, stdout, stderr } = await tsdup(['--json', 'restore', 'p', to, ...options], box);
	assert.equal(code, 0, stderr);
	return JSON.parse(stdout).summary;
}

describe('what is at the destination', () => {
	test('is gone on with when it is of an interrupted restore, which never leaves half a file under its name', async () => {
		const to = place();
		const child = startTsdup(['restore', 'p', to], box);
		const end = ended(child);
		while (!existsSync(join(to, 'dir/file 20')) && child.exitCode === null)
			await new Promise((resolve) => setTimeout(resolve, 1));
		child.kill('SIGKILL');
		await end;
		const before = describeTree(Buffer.from(to));
		const whole = new Map(describeTree(Buffer.from(source)).map((entry) => [entry.path, entry]));
		for (const { path, type, sha256 } of before)
			if (type === 'file' && !path.includes('.tsdup-part-')) assert.equal(sha256, whole.get(path)?.sha256);
		await restore(to);
		assertRestored(to);
	});

	test('is not read again where it is finished', async () => {
		const to = place();
		await restore(to);
		rmSync(join(to, 'dir/file 9'));
		const inode = lstatSync(join(to, 'large')).ino;
		const { skipped, bytes } = await restore(to);
		assert.equal(bytes, 9 * 40);
		assert.ok(skipped > 300);
		assert.equal(lstatSync(join(to, 'large')).ino, inode);
		assertRestored(to);
	});

	/** What is changed, its path, and how. */
	const others: [string, string, (path: string) => void][] = [
		['a file of another size', 'dir/file 50', (path) => truncateSync(path, 5)],
		['a file of another time', 'dir/file 60', (path) => utimesSync(path, new Date(), new Date())],
		['a file that the snapshot does not have', 'dir/other', (path) => writeFileSync(path, 'other')],
		[
			'another link',
			'link',
			(path) => {
				rmSync(path);
				symlinkSync('x', path);
			},
		],
		[
			'a link in the place of a folder',
			'dir',
			(path) => {
				rmSync(path, { recursive: true });
				symlinkSync(box.dir, path);
			},
		],
	];
	test('is left as it is, and named, when it is anything else; --force overwrites it', async () => {
		const done = place();
		await restore(done);
		for (const [what, changed, change] of others) {
			const to = place();
			execFileSync('cp', ['-a', done, to]);
			change(join(to, changed));
			const before = describeTree(Buffer.from(to));
			const { code, stderr } = await tsdup(['restore', 'p', to], box);
			assert.equal(code, 2, what);
			assert.ok(stderr.includes(`${join(to, changed)} is there already`), stderr);
			assertSameTree(describeTree(Buffer.from(to)), before, what);
			await restore(to, '--force');
			rmSync(join(to, 'dir/other'), { force: true });
			// What is beside it has changed the folder's time.
			await restore(to, '--force');
			assertRestored(to);
		}
	});

	test('with --force is never taken for what it seems to be', async () => {
		const to = place();
		await restore(to);
		const { mtime, atime } = lstatSync(join(to, 'dir/file 30'));
		writeFileSync(join(to, 'dir/file 30'), randomBytes(30 * 40));
		utimesSync(join(to, 'dir/file 30'), atime, mtime);
		await restore(to, '--force');
		assertRestored(to);
	});

	test('a folder that is not empty is not removed for a file', async () => {
		const to = place();
		mkdirSync(join(to, 'large/sub'), { recursive: true });
		mkdirSync(join(to, 'empty'));
		const { code, stderr } = await tsdup(['restore', 'p', to, '--force'], box);
		assert.equal(code, 1);
		assert.match(stderr, /large: a folder that is not empty is in its place/);
		assert.ok(existsSync(join(to, 'large/sub')));
		assertRestored(to, { leaveOut: ['large'] });
	});
});

describe('to stdout', () => {
	test('a tar that unpacks to the snapshot', async () => {
		const to = place();
		mkdirSync(to);
		const script = `set -o pipefail; '${process.execPath}' '${MAIN}' restore p - | tar -xp -C '${to}' 2>/dev/null`;
		const { status, stderr } = spawnSync('bash', ['-c', script], { env: box.env });
		assert.equal(status, 0, stderr.toString());
		assertRestored(to);
	});

	test('one file, one folder', () => {
		const list = (path: string) =>
			execFileSync('bash', ['-c', `'${process.execPath}' '${MAIN}' -q fetch p '${path}' - | tar -t`], {
				env: box.env,
			}).toString();
		assert.equal(list('dir/file 3'), 'file 3\n');
		assert.equal(list('dir/closed'), 'closed/\nclosed/in it\n');
	});

	test('a damaged file is left out and said, the rest is there', async () => {
		const pristine = `${target}-pristine`;
		cpSync(target, pristine, { recursive: true });
		const volume = readdirSync(target).find((name) => /^duplicity-inc.*vol1/.test(name)) as string;
		truncateSync(join(target, volume), 300);
		const env = { ...box.env, XDG_CACHE_HOME: mkdtempSync(join(box.dir, 'cache-')) };
		const { code, stdout, stderr } = await tsdup(['fetch', 'p', 'large', '-'], { env });
		assert.equal(code, 4, stderr);
		assert.doesNotMatch(stdout, /of step/);
		rmSync(target, { recursive: true });
		cpSync(pristine, target, { recursive: true });
	});
});

test('as another user: one warning for all owners, everything else is right', { skip: !isRoot }, async () => {
	const to = place();
	const home = mkdtempSync(join(box.dir, 'home-'));
	for (const dir of [box.dir, join(to, '..')]) chmodSync(dir, 0o755);
	execFileSync('cp', ['-a', box.env.TSDUP_PROFILES as string, join(home, 'profiles')]);
	execFileSync('chown', ['-R', '65534:65534', home, join(to, '..')]);
	execFileSync('chmod', ['-R', 'a+rX', target]);
	const env = {
		...box.env,
		HOME: home,
		XDG_CACHE_HOME: join(home, 'cache'),
		TSDUP_PROFILES: join(home, 'profiles'),
		GNUPGHOME: join(home, 'gnupg'),
		TMPDIR: home,
	};
	const { status, stderr } = spawnSync(process.execPath, [MAIN, 'restore', 'p', to], {
		env,
		uid: 65534,
		gid: 65534,
	});
	assert.equal(status, 3, stderr.toString());
	assert.equal(stderr.toString().match(/^warning:/gm)?.length, 2, stderr.toString());
	assert.match(stderr.toString(), /paths had another owner or group/);
	assert.match(stderr.toString(), /^warning: 1 device not made/m);
	const mine = (at: string) =>
		describeTree(Buffer.from(at), { leaveOut: ['device'] }).map((entry) => ({ ...entry, uid: 0, gid: 0 }));
	assertSameTree(mine(to), mine(source), 'as another user');
});

test('duplicity restores the same', async () => {
	const to = place();
	const args = ['restore', `file://${target}`, to];
	const { code, stderr } = await duplicity(args, { env: { ...box.env, PASSPHRASE } });
	assert.equal(code, 0, stderr);
	const mine = place();
	await restore(mine);
	assertSameTree(describeTree(Buffer.from(mine)), describeTree(Buffer.from(to)), 'both', {
		symlinkTimes: false,
	});
});

/** What a mount promises to those who use it, through the command line and with ordinary programs (docs/mount.md). */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Ended, profile, sandbox, tsdup } from './cli.js';
import { assertSameTree, describeTree, type TreeEntry } from './tree.js';

const MAIN = fileURLToPath(new URL('./tsdup.js', import.meta.url));
const PASSPHRASE = 'a passphrase of the mount test';
/** Names of folders are local dates: here, and in every child. */
process.env.TZ = 'America/New_York';

const box = sandbox();
const source = join(box.dir, 'source');
const target = join(box.dir, 'target');
const mountpoint = join(box.dir, 'a mount point');
const trees: TreeEntry[][] = [];
const isRoot = process.getuid?.() === 0;

/** Bytes, not text: none may be lost or altered. */
const NAMES = [
	'é',
	'n\u0303fd',
	'two\nlines',
	' blanks ',
	'"quotes\'',
	'back\\slash',
	'-dash',
	'*',
	'日本',
].map((name) => Buffer.from(name));
NAMES.push(Buffer.from([0xe9, 0x2e, 0xff, 0xfe]), Buffer.alloc(255, 'x'));

before(async () => {
	profile(box, 'p', `SOURCE='${source}'\nTARGET='file://${target}'\nGPG_PW='${PASSPHRASE}'\n`);
	mkdirSync(join(source, 'folder/deeper'), { recursive: true });
	mkdirSync(join(source, 'hard to type'));
	mkdirSync(mountpoint);
	writeFileSync(
		join(source, 'big'),
		Buffer.alloc(2_500_000, 'content of the big file, which is three frames long; '),
	);
	writeFileSync(join(source, 'folder/file'), 'first');
	writeFileSync(join(source, 'empty'), '');
	execFileSync(
		'sh',
		[
			'-ec',
			'ln -s folder/file link; ln -s nowhere dangling; mkfifo fifo; chmod 4750 big; chmod 1777 folder; touch -d 1999-12-31 folder/file',
		],
		{
			cwd: source,
		},
	);
	if (isRoot) execFileSync('sh', ['-ec', 'mknod null c 1 3; chown 4321:8765 empty'], { cwd: source });
	for (const name of NAMES)
		writeFileSync(Buffer.concat([Buffer.from(`${source}/hard to type/`), name]), name);
	await backup();
	writeFileSync(join(source, 'folder/file'), 'second');
	await backup();
});

after(() => box.remove());

async function backup(): Promise<void> {
	trees.push(describeTree(Buffer.from(source)));
	const { code, stderr } = await tsdup(['backup', 'p'], box);
	assert.equal(code, 0, stderr);
}

async function ok(args: string[], env = box.env): Promise<Ended> {
	const run = await tsdup(args, { env });
	assert.equal(run.code, 0, run.stderr);
	return run;
}

const names = (folder: string) => execFileSync('ls', ['-A', folder]).toString().trim().split('\n');
const sh = (script: string) =>
	spawnSync('sh', ['-c', script], { cwd: mountpoint, encoding: 'utf8', maxBuffer: 2 ** 26 });
const mountLine = (at: string) =>
	readFileSync('/proc/self/mounts', 'utf8')
		.split('\n')
		.find((line) => line.split(' ')[1] === at.replaceAll(' ', '\\040'));

describe('a mount of one profile', () => {
	before(() => ok(['mount', '-p', 'p', mountpoint]));
	after(() => ok(['umount', mountpoint]));

	test('has a folder for each snapshot, by local date and time, and `latest`, a symlink to the newest', () => {
		const shown = names(mountpoint);
		const days = shown.filter((name) => /^\d{4}-\d\d-\d\d$/.test(name));
		const times = shown.filter((name) => /^\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d$/.test(name));
		assert.deepEqual(shown, [...days, ...times, 'latest'].sort());
		const status = execFileSync(process.execPath, [MAIN, '--json', 'status', 'p'], {
			env: box.env,
		}).toString();
		const sets = [...status.matchAll(/"time":"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z"/g)].map(([, ...n]) => {
			const [year, month, day, hour, minute, second] = n.map(Number) as [
				number,
				number,
				number,
				number,
				number,
				number,
			];
			return Date.UTC(year, month - 1, day, hour, minute, second) / 1000;
		});
		const local = sets.map((time) =>
			execFileSync('date', ['-d', `@${time}`, '+%Y-%m-%d_%H-%M-%S'])
				.toString()
				.trim(),
		);
		// Both of one day, unless midnight was in between.
		if (days.length === 1) assert.deepEqual(times, local);
		assert.equal(
			execFileSync('readlink', [join(mountpoint, 'latest')])
				.toString()
				.trim(),
			local[1]?.slice(0, 10),
		);
		assert.equal(readFileSync(join(mountpoint, days.at(-1) as string, 'folder/file'), 'utf8'), 'second');
	});

	test('shows each snapshot as the source was: types, modes, owners, times, sizes, contents, and names as bytes', () => {
		const folders = names(mountpoint).filter((name) => /_/.test(name));
		folders.forEach((folder, i) => {
			assertSameTree(describeTree(Buffer.from(join(mountpoint, folder))), trees[i] as TreeEntry[], folder);
		});
		assertSameTree(describeTree(Buffer.from(`${mountpoint}/latest/.`)), trees[1] as TreeEntry[], 'latest');
	});

	test('is read-only: whatever would change it ends with EROFS', () => {
		for (const command of [
			'echo x > latest/new',
			'echo x >> latest/folder/file',
			'mkdir latest/new',
			'rm latest/folder/file',
			'rmdir latest/folder/deeper',
			'mv latest/empty latest/full',
			'ln -s x latest/new',
			'ln latest/empty latest/new',
			'chmod 777 latest/empty',
			'touch latest/empty',
			'truncate -s 0 latest/big',
			'mkdir new',
			'rm latest',
		]) {
			const { status, stderr } = sh(command);
			assert.notEqual(status, 0, command);
			assert.match(stderr, /Read-only file system/, command);
		}
		assert.match(
			mountLine(mountpoint) ?? '',
			/^tsdup:p \S+ fuse\.tsdup ro,nosuid,nodev,.*default_permissions/,
		);
	});

	test('gives stat what programs rely on: a link count, blocks, a symlink as long as its target', () => {
		const stat = (path: string) => sh(`stat -c '%h %b %s %F' latest/${path}`).stdout.trim();
		assert.equal(stat('big'), `1 ${Math.ceil(2_500_000 / 512)} 2500000 regular file`);
		assert.equal(stat('empty'), '1 0 0 regular empty file');
		assert.equal(stat('link'), '1 1 11 symbolic link');
		assert.match(stat('folder'), /^1 0 0 directory$/);
		assert.equal(stat('fifo'), '1 0 0 fifo');
		assert.match(sh('cat latest/absent').stderr, /No such file or directory/);
		assert.match(sh('cat latest/folder/file/x').stderr, /Not a directory/);
		assert.match(sh('getfattr -n user.none latest/empty; cat latest/folder').stderr, /Is a directory/);
	});

	test('works with find, grep, cp, tar, diff and rsync', () => {
		const to = join(box.dir, 'copied');
		mkdirSync(to);
		const found = sh('find latest/ -printf x').stdout;
		assert.equal(found.length, trees[1]?.length);
		assert.equal(sh('grep -rl --devices=skip second latest/folder').stdout, 'latest/folder/file\n');
		for (const [name, command] of [
			['cp', `cp -a latest/. '${to}/cp'`],
			['tar', `mkdir '${to}/tar' && tar -C latest -cf - . | tar -C '${to}/tar' -xpf -`],
			['rsync', `rsync -a latest/ '${to}/rsync/'`],
		] as const) {
			if (name === 'rsync' && sh('command -v rsync').status !== 0) continue;
			const { status, stderr } = sh(command);
			assert.equal(status, 0, stderr);
			assertSameTree(describeTree(Buffer.from(join(to, name))), trees[1] as TreeEntry[], name);
		}
		const diff = sh(`diff -r --no-dereference -x fifo -x null latest/ '${source}'`);
		assert.equal(diff.status, 0, diff.stdout + diff.stderr);
	});

	test('can be read by many at once, at any offset', () => {
		const script = [1, 2, 3, 4, 5, 6].map(
			(i) => `dd if=latest/big bs=1000 skip=${i * 400} status=none | md5sum &`,
		);
		const { stdout } = sh(`${script.join('\n')}\nwait`);
		const whole = spawnSync(
			'sh',
			['-c', script.join('\n').replaceAll('latest/', `${source}/`).concat('\nwait')],
			{ encoding: 'utf8' },
		);
		assert.deepEqual(stdout.split('\n').sort(), whole.stdout.split('\n').sort());
	});

	test('answers df with what the newest snapshot holds, and no room', () => {
		const { bsize, blocks, bavail, files } = statfsSync(mountpoint);
		const bytes = trees[1]?.reduce((sum, { size }) => sum + size, 0) ?? 0;
		assert.ok(blocks * bsize >= bytes && blocks * bsize < bytes + 2 * bsize);
		assert.deepEqual([bavail, files], [0, trees[1]?.length]);
	});

	test('stands beside another one of the same profile', async () => {
		const other = join(box.dir, 'other');
		mkdirSync(other);
		await ok(['mount', '-p', 'p', other]);
		assert.deepEqual(names(other), names(mountpoint));
		assert.equal(sh(`cmp latest/big '${other}/latest/big'`).status, 0);
		await ok(['umount', other]);
		assert.ok(mountLine(mountpoint));
	});

	test('goes on showing what it showed while a new backup is made', async () => {
		const before = names(mountpoint).filter((name) => /_/.test(name));
		await ok(['backup', 'p', '--full']);
		assert.equal(sh(`cmp latest/big '${before[0]}/big'`).status, 0);
		for (const [i, folder] of before.entries())
			assertSameTree(describeTree(Buffer.from(join(mountpoint, folder))), trees[i] as TreeEntry[], folder);
	});

	test('that is in use cannot be unmounted, and says so', async () => {
		const user = spawn('sleep', ['20'], { cwd: join(mountpoint, 'latest'), stdio: 'ignore' });
		await sleep(300);
		const { code, stderr } = await tsdup(['umount', mountpoint], box);
		user.kill();
		assert.equal(code, 1);
		assert.match(stderr, /is in use: leave it in every shell/);
		assert.ok(mountLine(mountpoint));
		await sleep(100);
	});
});

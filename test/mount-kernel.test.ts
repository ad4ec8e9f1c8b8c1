/** A mount as the kernel and the usual programs see it: every call that reads, every call that writes, compared with the source. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { assertSameToRsync } from './attributes.js';
import { type Ended, profile, sandbox, tsdup } from './cli.js';
import { bytesFrom } from './seeded.js';

const CALLS = fileURLToPath(new URL('../../test/kernel-calls.py', import.meta.url));
const IS_FUSE_3 = process.env.MOUNT_DRIVER !== 'fuse-native';
const DRIVER = IS_FUSE_3 ? 'fuse3' : 'fuse-native';
const IS_ROOT = process.getuid?.() === 0;

const box = sandbox();
const source = join(box.dir, 'source');
const former = join(box.dir, 'former');
const at = join(box.dir, 'mnt');
const latest = join(at, 'latest');

interface Stat {
	readonly type: number;
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
	readonly size: number;
	readonly mtimeNs: string;
	readonly blocks: number;
	readonly blksize: number;
	readonly ino: string;
	readonly dev: number;
	readonly nlink: number;
	readonly rdev: number;
}
type Stats = Record<string, Stat>;

const [DIRECTORY, SYMLINK] = [0o040000, 0o120000];

function calls<T>(what: string, ...args: string[]): T {
	const text = execFileSync('/usr/bin/python3', [CALLS, what, ...args], {
		encoding: 'utf8',
		maxBuffer: 2 ** 28,
	});
	return JSON.parse(text) as T;
}

function sh(script: string, cwd = latest): string {
	const env = { ...process.env, HOME: box.env.HOME, LC_ALL: 'C' };
	const ended = spawnSync('bash', ['-ec', script, 'bash', source], {
		cwd,
		encoding: 'utf8',
		maxBuffer: 2 ** 28,
		env,
	});
	assert.equal(ended.status, 0, ended.stdout + ended.stderr);
	return ended.stdout;
}

async function ok(args: string[]): Promise<Ended> {
	const run = await tsdup(args, box);
	assert.equal(run.code, 0, run.stderr);
	return run;
}

const mount = () =>
	ok(['mount', '--driver', DRIVER, '-p', 'p', ...(IS_ROOT ? ['-o', 'allow_other'] : []), at]);

before(async () => {
	profile(
		box,
		'p',
		`SOURCE='${source}'\nTARGET='file://${box.dir}/target'\nGPG_PW='a passphrase of the kernel test'\n`,
	);
	for (const folder of [source, at]) mkdirSync(folder);
	writeFileSync(join(source, 'big'), bytesFrom('big', 3_210_987));
	sh(
		`
		echo content >file; mkdir folder 'empty folder' closed many; echo inside >folder/inside; ln -s file link; ln -s nowhere dangling
		: >nothing; mkfifo fifo; ln folder/inside folder/again; ln folder/inside third
		for i in $(seq 1500); do : >many/$i; done
		printf x >many/$(printf 'n%.0s' $(seq 255)); printf y >many/$'\\xff\\n'
		truncate -s 2M holes; printf data | dd of=holes bs=1 seek=1000000 conv=notrunc status=none
		setfattr -n user.text -v 'a value' file; setfattr -n user.binary -v 0x00ff0a00 folder
		echo secret >closed/secret; echo shared >closed/shared
		printf '#!/bin/sh\\necho ran\\n' >program; chmod 755 program; chmod 4750 nothing; chmod 1777 many
		chmod 700 closed; chmod 640 closed/shared; chmod 600 folder/inside
		touch -d '2001-02-03 04:05:06.123456789' file folder; touch -h -d '1999-12-31 23:59:59.999999999' link
		git init -q repository; cd repository; mkdir a b; for i in $(seq 50); do echo $i >a/$i; echo $i$i >b/$i; done
		git add .; git -c user.name=n -c user.email=e commit -qm first; echo more >>a/7
		git -c user.name=n -c user.email=e commit -qam second
	`,
		source,
	);
	if (IS_ROOT) {
		sh(
			'mknod device c 1 3; chown 1234:4321 file; chown 65534:65534 closed; chown 65534:4321 closed/shared; setfacl -m u:65534:r closed/shared program',
			source,
		);
		for (const folder of [box.dir, at]) chmodSync(folder, 0o755);
	}
	await ok(['backup', 'p']);
	execFileSync('cp', ['-a', source, former]);
	sh('echo other >>file; rm third; echo new >new; printf z >>big', source);
	await ok(['backup', 'p']);
	await mount();
});

after(async () => {
	await tsdup(['umount', at], box);
	box.remove();
});

test('lstat: types, modes, owners, sizes, nanoseconds, devices, block counts', () => {
	const found = calls<Stats>('stats', `${latest}/`);
	const expected = calls<Stats>('stats', source);
	assert.deepEqual(Object.keys(found).sort(), Object.keys(expected).sort());
	for (const [path, wanted] of Object.entries(expected)) {
		const stat = found[path] as Stat;
		const facts = ({ type, uid, gid, rdev, ...rest }: Stat) => ({
			...{ type, uid, gid, rdev },
			mode: type === SYMLINK ? 0o777 : rest.mode,
			size: type === DIRECTORY ? 0 : rest.size,
			// The package carries milliseconds.
			mtimeNs: IS_FUSE_3 ? rest.mtimeNs : rest.mtimeNs.slice(0, -9),
			nlink: type === DIRECTORY ? 1 : rest.nlink,
		});
		assert.deepEqual(facts(stat), facts(wanted), path);
		// Files with holes took less; all others as much as they hold.
		const blocks = path === 'holes' ? wanted.blocks : Math.ceil(stat.size / 512);
		assert.equal(stat.blocks, blocks, path);
		assert.ok(stat.blksize >= 4096 && Number.isInteger(Math.log2(stat.blksize)), `${path}: ${stat.blksize}`);
	}
	assert.equal(new Set(Object.values(found).map(({ dev }) => dev)).size, 1);
});

test('inode numbers: one for each file of each snapshot, the same in listings, and after a remount', async () => {
	const names = readdirSync(at).filter((name) => name !== 'latest');
	const all = () => calls<Stats>('stats', at);
	const before = all();
	const byInode = new Map<string, string[]>();
	for (const [path, { ino }] of Object.entries(before)) byInode.set(ino, [...(byInode.get(ino) ?? []), path]);
	const shared = [...byInode.values()].filter((paths) => paths.length > 1).map((paths) => paths.sort());
	const linked = names.sort().map((name, i) => {
		// The plain date is the day's last one, which has lost one of the three names.
		const isLast = i !== names.findIndex((other) => other.includes('_'));
		const paths = ['folder/again', 'folder/inside', ...(isLast ? [] : ['third'])];
		return paths.map((path) => `${name}/${path}`);
	});
	assert.deepEqual(shared.sort(), IS_FUSE_3 ? linked.sort() : []);
	for (const folder of ['', ...names, `${names[0]}/folder`, `${names.at(-1)}/many`]) {
		for (const [name, ino, type] of calls<[string, string, number][]>('listed', join(at, folder))) {
			if (name === '.' || name === '..') continue;
			const stat = before[folder === '' ? name : `${folder}/${name}`];
			assert.equal(type << 12, stat?.type, name);
			if (IS_FUSE_3) assert.equal(ino, stat?.ino, name);
		}
	}
	await ok(['umount', at]);
	await mount();
	const inodes = (stats: Stats) =>
		Object.fromEntries(Object.entries(stats).map(([path, { ino }]) => [path, ino]));
	if (IS_FUSE_3) assert.deepEqual(inodes(all()), inodes(before));
});

test('telldir and seekdir: any place of a directory can be gone back to', () => {
	for (const folder of ['many', 'folder', 'empty folder', '.']) {
		const { count, distinct, wrong } = calls<{ count: number; distinct: number; wrong: unknown[] }>(
			'seek',
			join(latest, folder),
		);
		assert.equal(count, readdirSync(join(source, folder)).length + 2);
		assert.equal(distinct, count + 1);
		assert.deepEqual(wrong, [], folder);
	}
});

test('contents by pread, preadv, lseek, mmap, O_DIRECT, sendfile and copy_file_range', () => {
	for (const file of ['big', 'holes']) {
		assert.deepEqual(calls('content', join(latest, file), join(source, file)), [], file);
	}
});

test('every call that would change something ends with EROFS', () => {
	const results = calls<Record<string, string>>('writes', latest, join(source, 'file'));
	const others: Record<string, string> = {
		// Neither name can be given to a file of another file system.
		'rename into it': 'EXDEV',
		// These files are open for reading.
		'write on O_RDONLY': 'EBADF',
		'ftruncate on O_RDONLY': 'EINVAL',
		'mmap MAP_SHARED PROT_WRITE': 'EACCES',
		unchanged: 'done',
	};
	const expected = Object.keys(results).map((name) => [name, others[name] ?? 'EROFS']);
	assert.deepEqual(results, Object.fromEntries(expected));
});

test('calls that make no sense end as on any file system', () => {
	assert.deepEqual(calls('errors', latest), {
		absent: 'ENOENT',
		'below a file': 'ENOTDIR',
		'a name of 256 bytes': 'ENAMETOOLONG',
		'open of a folder for writing': 'EISDIR',
		'O_DIRECTORY of a file': 'ENOTDIR',
		'O_NOFOLLOW of a link': 'ELOOP',
		'readlink of a file': 'EINVAL',
		'listing of a file': 'ENOTDIR',
		'read of a folder': 'EISDIR',
		'rmdir of what is not empty': 'EROFS',
		'exec of what is not executable': 'EACCES',
	});
	assert.equal(sh('./program'), 'ran\n');
});

test('access: whoever may read or run something in the source may in the mount, and nobody else', {
	skip: !IS_ROOT && 'needs root',
}, () => {
	// With the package the kernel goes by the mode alone.
	const acl = IS_FUSE_3 ? [] : ['program'];
	const may = (root: string, uid: string) =>
		Object.entries(calls<Record<string, unknown>>('access', root, uid)).filter(
			([path]) => !acl.includes(path),
		);
	for (const uid of ['0', '65534', '1234', '77']) {
		assert.deepEqual(may(`${latest}/`, uid), may(source, uid), `user ${uid}`);
	}
});

test('git status, log and fsck in a repository that was backed up', () => {
	const git = `git -c safe.directory='*' -C ${latest}/repository`;
	assert.equal(
		sh(`${git} status --porcelain; ${git} log --format=%s; ${git} fsck --full 2>&1`),
		'second\nfirst\n',
	);
	sh(
		`git -c safe.directory='*' clone -q --no-hardlinks ${latest}/repository ${box.dir}/clone; diff -r -x .git repository ${box.dir}/clone`,
	);
});

test('rsync -aHAX --checksum sees no difference, to either side', () => {
	const [first] = readdirSync(at).filter((name) => name.includes('_'));
	// The package has neither whole times nor hard links.
	const without = IS_FUSE_3 ? [] : ['--no-H', '--no-t'];
	assertSameToRsync(`${latest}/.`, source, without);
	assertSameToRsync(join(at, first as string), former, without);
	execFileSync('rsync', ['-aHAX', '--checksum', `${latest}/`, join(box.dir, 'rsynced')]);
	assertSameToRsync(join(box.dir, 'rsynced'), source, without);
});

test('tar, cp, find and du', () => {
	// With the package hard links are files of their own, and times differ below a second.
	const tar = `tar --xattrs ${IS_FUSE_3 ? '' : '--hard-dereference'}`;
	const differences = (from: string, to: string) =>
		sh(`cd '${from}'; ${tar} -cf ${box.dir}/a.tar .; cd '${to}'; tar -df ${box.dir}/a.tar || true`)
			.split('\n')
			.filter((line) => line !== '' && (IS_FUSE_3 || !line.endsWith(': Mod time differs')));
	assert.deepEqual(differences(source, `${latest}/`), []);
	assert.deepEqual(differences(`${latest}/`, source), []);
	sh(
		`cp -a --reflink=auto --sparse=always . ${box.dir}/copied; diff -r --no-dereference -x fifo -x device ${box.dir}/copied "$1"`,
	);
	const found = (script: string) => [
		sh(`find -H . ${script} | sort`),
		sh(`find -H . ${script} | sort`, source),
	];
	for (const script of [
		'-xdev',
		'-type f -empty',
		'-perm -100',
		'-type l -xtype l',
		'-size +1000k',
		"-newermt '2001-02-03 04:05:07'",
	]) {
		const [mounted, original] = found(script);
		assert.equal(mounted, original, script);
	}
	if (IS_FUSE_3)
		assert.equal(sh('find . -samefile folder/inside | sort'), './folder/again\n./folder/inside\n');
	const bytes = 'find . ! -type d -printf "%s\\n" | awk "{s += \\$1} END {print s}"';
	assert.equal(sh(bytes), sh(bytes, source));
});

test('getfattr shows what the source has', () => {
	const all = 'find . ! -path "./many/*" -print0 | LC_ALL=C sort -z | xargs -0 getfattr -h -d -m - -e hex --';
	assert.equal(sh(all), sh(all, source));
	assert.match(sh('getfattr -n user.none file 2>&1 || true'), /No such attribute/);
});

test('statfs, and df: read-only, as large as the snapshot, full', () => {
	const [type, names, bsize, blocks, free, available] = sh('stat -f -c "%T %l %S %b %f %a" .')
		.trim()
		.split(' ');
	const bytes = Number(sh('find . -printf "%s\\n" | awk "{s += \\$1} END {print s}"'));
	assert.deepEqual([type, names, free, available], ['fuseblk', '255', '0', '0']);
	assert.ok(Math.abs(Number(bsize) * Number(blocks) - bytes) <= 2 * Number(bsize));
	assert.equal(sh('df --output=pcent . | tail -1').trim(), '100%');
	assert.equal(spawnSync('touch', [join(latest, 'new file')]).status, 1);
});

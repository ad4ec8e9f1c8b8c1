import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import {
	lstat,
	mkdir,
	mkdtemp,
	open,
	readdir,
	readFile,
	readlink,
	rm,
	rmdir,
	stat,
	statfs,
	symlink,
	writeFile,
} from 'node:fs/promises';
import { constants as osConstants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { UsageError } from '../src/errors.js';
import { withDeadline } from '../src/mount/deadline.js';
import { type Attributes, Errno, ROOT_INO } from '../src/mount/driver.js';
import { findHolder, isAlive } from '../src/mount/holder.js';
import { prepareMountpoint } from '../src/mount/mountpoint.js';
import { parseMountOptions } from '../src/mount/options.js';
import { PathResolver } from '../src/mount/path-resolver.js';
import { listMounts } from '../src/mount/table.js';
import { umount } from '../src/mount/umount.js';
import {
	DATA,
	DEEP_NAME,
	DEPTH,
	EVERY_BYTE,
	LONG_NAME,
	MANY,
	SyntheticTree,
	XATTRS,
} from './synthetic-mount.js';
import { until } from './until.js';

const run = promisify(execFile);
const SCRIPT = join(import.meta.dirname, 'synthetic-mount.js');

const IS_FUSE_3 = process.env.MOUNT_DRIVER !== 'fuse-native';

let home: string;
let mountpoint: string;

/** Mounts the synthetic tree with a process of its own; the accesses in this one cannot block it. */
async function mount(path = mountpoint, env: Record<string, string> = {}): Promise<void> {
	await run(process.execPath, [SCRIPT, path], { env: { ...process.env, ...env } });
}

function at(...names: (string | Buffer)[]): Buffer {
	return Buffer.concat([
		Buffer.from(mountpoint),
		...names.flatMap((name) => [Buffer.from('/'), Buffer.from(name)]),
	]);
}

/** Kills the process of the mount, so that a dead mount stays behind. */
async function kill(): Promise<void> {
	const holder = await findHolder(mountpoint);
	assert.ok(holder);
	process.kill(holder.pid, 'SIGKILL');
	await until(() => !isAlive(holder), 5);
	await assert.rejects(stat(mountpoint), fails('ENOTCONN'));
}

function fails(code: string) {
	return (error: NodeJS.ErrnoException) => error.code === code;
}

before(async () => {
	home = await mkdtemp(join(tmpdir(), 'tsdup-mount-'));
	process.env.XDG_CACHE_HOME = join(home, 'cache');
	// A space, and what is more than ASCII, so that the mount table must be decoded.
	mountpoint = join(home, 'mount point é');
	await mkdir(mountpoint);
});

after(async () => {
	for (const entry of await listMounts()) {
		if (entry.mountpoint.startsWith(home)) spawnSync('fusermount', ['-uz', entry.mountpoint]);
	}
	await rm(home, { recursive: true, force: true });
});

describe('a mount shows what the file system says', () => {
	before(() => mount());
	after(() => umount(mountpoint));

	it('names byte for byte, of every byte and of 255 bytes', async () => {
		const names = await readdir(mountpoint, { encoding: 'buffer' });
		for (const name of [EVERY_BYTE, LONG_NAME]) {
			assert.ok(names.some((listed) => listed.equals(name)));
			assert.equal((await lstat(at(name))).isFile(), true);
		}
		assert.equal(names.length, 19);
		await assert.rejects(lstat(at('absent')), fails('ENOENT'));
	});

	it('a path of 3,840 bytes', async () => {
		assert.equal(await readFile(at(...Array<Buffer>(DEPTH).fill(DEEP_NAME)), 'latin1'), 'deep');
	});

	it('targets of symlinks byte for byte, never cut', async () => {
		const target = await readlink(at('link'), { encoding: 'buffer' });
		assert.deepEqual(target, Buffer.from([0x2e, 0x2f, 0xe9, 0xff]));
		assert.equal((await readlink(at('longest link'))).length, 4095);
		await assert.rejects(readlink(at('too long link')), fails('ENAMETOOLONG'));
	});

	it('types, device numbers, set-id bits, owners, link counts, sizes and times', async () => {
		const chardev = await lstat(at('chardev'));
		assert.deepEqual([chardev.isCharacterDevice(), chardev.rdev], [true, (10 << 8) | 229]);
		const blockdev = await lstat(at('blockdev'));
		// glibc's makedev(259, 0xabcde)
		assert.deepEqual([blockdev.isBlockDevice(), blockdev.rdev], [true, 0xabc00000 + (259 << 8) + 0xde]);
		assert.equal((await lstat(at('fifo'))).isFIFO(), true);
		const setuid = await lstat(at('setuid'));
		assert.equal(setuid.mode & 0o7777, 0o6755);
		assert.deepEqual([setuid.uid, setuid.gid, setuid.nlink], [3_000_000_000, 4_000_000_000, 3]);
		const huge = await lstat(at('huge'));
		assert.deepEqual([huge.size, huge.blocks, huge.mtimeMs], [2 ** 43 + 5, 8, (2 ** 32 + 0.25) * 1000]);
		const { mtimeNs } = await lstat(at('huge'), { bigint: true });
		assert.equal(mtimeNs % 1_000_000_000n, IS_FUSE_3 ? 250_000_001n : 250_000_000n);
		assert.equal((await lstat(at('ancient'))).mtimeMs, IS_FUSE_3 ? -5000 : 0);
	});

	it('a directory of 5,000 entries with their types', async () => {
		const entries = await readdir(join(mountpoint, 'many'), { withFileTypes: true });
		assert.equal(new Set(entries.map((entry) => entry.name)).size, MANY);
		assert.equal(entries.filter((entry) => entry.isDirectory()).length, MANY / 2);
	});

	it('the size of the whole, even beyond 2^32 blocks', async () => {
		const { bsize, blocks } = await statfs(mountpoint);
		assert.equal(bsize * blocks, 2 ** 52);
	});

	it('a file in order, whole', async () => {
		assert.ok(DATA.equals(await readFile(at('data'))));
	});

	it('a file beyond 2^32 bytes', async () => {
		const file = await open(at('huge'));
		const { buffer, bytesRead } = await file.read(Buffer.alloc(10), 0, 10, 2 ** 43);
		await file.close();
		assert.deepEqual(buffer.subarray(0, bytesRead), Buffer.alloc(5, 7));
	});

	it('any range of a file, to many readers at once', async () => {
		// O_DIRECT: each read is a request, none comes from the page cache.
		const file = await open(at('data'), constants.O_RDONLY | constants.O_DIRECT);
		let left = 20_000;
		const reader = async () => {
			const buffer = Buffer.alloc(16_384);
			while (left-- > 0) {
				const offset = Math.floor(Math.random() * DATA.length);
				const length = 1 + Math.floor(Math.random() * buffer.length);
				const { bytesRead } = await file.read(buffer, 0, length, offset);
				assert.ok(
					DATA.subarray(offset, offset + length).equals(buffer.subarray(0, bytesRead)),
					`at ${offset}`,
				);
			}
		};
		await Promise.all(Array.from({ length: 8 }, reader));
		await file.close();
	});

	it('EIO, never wrong or missing bytes, when a read fails, and the log says which and why', async () => {
		await assert.rejects(readFile(at('broken')), fails('EIO'));
		await assert.rejects(readFile(at('short')), fails('EIO'));
		const log = join(home, 'cache', 'tsdup', 'mount.log');
		assert.match(await readFile(log, 'utf8'), /cannot read .*: vol7 is damaged\n/);
		assert.equal((await stat(log)).mode & 0o777, 0o600);
	});

	it('EROFS to whoever writes', async () => {
		await assert.rejects(writeFile(at('data'), ''), fails('EROFS'));
		await assert.rejects(writeFile(at('new'), ''), fails('EROFS'));
		await assert.rejects(mkdir(at('new')), fails('EROFS'));
		await assert.rejects(rmdir(at('many')), fails('EROFS'));
	});

	it('extended attributes and ACLs byte for byte, ENODATA for those that are not there', () => {
		const script = [
			'import os, sys, json',
			'def get(path, name):',
			'	try: return os.getxattr(path, name, follow_symlinks=False).hex()',
			'	except OSError as e: return e.errno',
			'os.chdir(sys.argv[1])',
			'names = os.listxattr("attributes")',
			'print(json.dumps([[[name, get("attributes", name)] for name in names], os.listxattr("data"),',
			'	get("data", "user.x"), get("attributes", "user.x"), get("link", "user.x"), get(".", "trusted.x"),',
			'	get("data", "system.posix_acl_access")]))',
		];
		const { stdout } = spawnSync('python3', ['-c', script.join('\n'), mountpoint], { encoding: 'utf8' });
		const { ENODATA } = osConstants.errno;
		assert.deepEqual(JSON.parse(stdout), [
			XATTRS.map(([name, value]) => [name, value.toString('hex')]),
			[],
			...[ENODATA, ENODATA, ENODATA, ENODATA, ENODATA],
		]);
		const acl = spawnSync('getfacl', ['-nc', join(mountpoint, 'attributes')], { encoding: 'utf8' });
		assert.equal(acl.stdout, 'user::rw-\nuser:1234:r--\ngroup::r--\nmask::r--\nother::---\n\n');
	});

	it('everything else while one read is slow', async () => {
		const begun = Date.now();
		const slow = readFile(at('slow'), 'latin1').then((text) => ({ text, ms: Date.now() - begun }));
		await readdir(join(mountpoint, 'many'));
		await readFile(at('data'));
		assert.ok(Date.now() - begun < 1000);
		const { text, ms } = await slow;
		assert.equal(text, 'slow');
		assert.ok(ms >= 1400);
	});

	it('in the mount table, read-only, without set-id and devices', async () => {
		assert.deepEqual(
			(await listMounts()).filter((entry) => entry.mountpoint === mountpoint),
			[{ mountpoint, source: 'tsdup:a,b \\c' }],
		);
		const line = (await readFile('/proc/self/mounts', 'utf8'))
			.split('\n')
			.find((l) => l.includes('tsdup:a,b'));
		assert.match(line ?? '', / fuse\.tsdup ro,nosuid,nodev,.*default_permissions/);
	});
});

describe('mount options', () => {
	it('change owner and permission bits as mount(8) says', async () => {
		await mount(mountpoint, { MOUNT_OPTIONS: 'ro,uid=1234 gid=4321,umask=027' });
		const { uid, gid, mode } = await lstat(at('data'));
		assert.deepEqual([uid, gid, mode & 0o777], [1234, 4321, 0o750]);
		await umount(mountpoint);
	});

	it('of fstab are taken, unknown and writable ones refused', () => {
		const fstab = 'defaults,noauto,user,nofail,_netdev,x-systemd.automount,ro,nosuid';
		assert.deepEqual(parseMountOptions([fstab]), { allowOther: false });
		assert.deepEqual(parseMountOptions(['allow_other,uid=0', 'umask=022']), {
			allowOther: true,
			uid: 0,
			umask: 0o22,
		});
		for (const word of ['rw', 'frobnicate', 'uid=root', 'uid=', 'gid=-1', 'umask=9', 'uid=4294967295']) {
			assert.throws(() => parseMountOptions([word]), UsageError, word);
		}
	});
});

describe('a mountpoint', () => {
	it('must be an empty directory that nothing is mounted on', async () => {
		const full = join(home, 'full');
		await mkdir(join(full, 'something'), { recursive: true });
		const file = join(home, 'file');
		await writeFile(file, '');
		const message = (text: RegExp) => (error: Error) =>
			error instanceof UsageError && text.test(error.message);
		await assert.rejects(prepareMountpoint(join(home, 'absent')), message(/does not exist.*mkdir/));
		await assert.rejects(prepareMountpoint(file), message(/not a directory/));
		await assert.rejects(prepareMountpoint(full), message(/not empty/));
		await assert.rejects(prepareMountpoint('/proc'), message(/mounted here already/));
	});

	it('may be given by a symlink', async () => {
		await symlink(mountpoint, join(home, 'link'));
		assert.equal(await prepareMountpoint(join(home, 'link')), mountpoint);
	});

	it('refused in the background process is refused by the command, with the same exit code', async () => {
		await assert.rejects(mount(join(home, 'absent')), (error: { code: number; stderr: string }) => {
			assert.equal(error.code, 2);
			assert.match(error.stderr, /does not exist/);
			return true;
		});
	});

	it('with a dead mount is cleared and mounted again', async () => {
		await mount();
		await kill();
		await mount();
		assert.equal((await stat(at('data'))).size, DATA.length);
		assert.equal((await listMounts()).filter((entry) => entry.mountpoint === mountpoint).length, 1);
		await umount(mountpoint);
	});
});

describe('umount', () => {
	it('returns when the mount and its process are gone', async () => {
		await mount();
		const holder = await findHolder(mountpoint);
		assert.ok(holder);
		assert.equal(await umount(mountpoint), mountpoint);
		assert.equal(isAlive(holder), false);
		assert.deepEqual(await readdir(mountpoint), []);
		assert.deepEqual(await readdir(join(home, 'cache', 'tsdup', 'mounts')), []);
	});

	it('says so when the mount is in use, and leaves it', async () => {
		await mount();
		const file = openSync(at('data'), 'r');
		await assert.rejects(umount(mountpoint), /in use.*fuser/);
		assert.equal(readSync(file, Buffer.alloc(4), 0, 4, 0), 4);
		closeSync(file);
		await umount(mountpoint);
	});

	it('clears a dead mount', async () => {
		await mount();
		await kill();
		await umount(mountpoint);
		assert.deepEqual(await readdir(mountpoint), []);
	});

	it('wakes a process that was stopped', async () => {
		await mount();
		const holder = await findHolder(mountpoint);
		assert.ok(holder);
		process.kill(holder.pid, 'SIGSTOP');
		await umount(mountpoint);
		assert.equal(isAlive(holder), false);
	});

	it('asks which when there are several, or none by that name', async () => {
		const second = join(home, 'second');
		await mkdir(second);
		await mount();
		await mount(second);
		await assert.rejects(umount(), (error) => error instanceof UsageError && error.message.includes(second));
		await assert.rejects(umount(home), UsageError);
		await umount(second);
		await umount(mountpoint);
	});

	it('takes the only mount there is', { skip: process.getuid?.() !== 0 && 'needs unshare -m' }, async () => {
		// In a mount namespace of its own, where the mounts of other tests can be left out without ending them.
		const script = `
			umount -a -l -t fuse.tsdup
			umount='import { umount } from "${import.meta.resolve('../src/mount/umount.js')}";
				console.log(await umount().catch((error) => error.message))'
			"$0" --input-type=module -e "$umount"
			"$0" "$1" "$2"
			"$0" --input-type=module -e "$umount"`;
		const { stdout } = await run('unshare', ['-m', 'sh', '-c', script, process.execPath, SCRIPT, mountpoint]);
		assert.equal(stdout, `nothing to unmount: you have no tsdup mount\n${mountpoint}\n`);
	});

	it('is what SIGTERM does, letting a reader finish', async () => {
		await mount();
		const holder = await findHolder(mountpoint);
		assert.ok(holder);
		const file = await open(at('slow'));
		process.kill(holder.pid, 'SIGTERM');
		await until(async () => !(await listMounts()).some((entry) => entry.mountpoint === mountpoint), 5);
		assert.equal((await file.readFile('latin1')).toString(), 'slow');
		await file.close();
		await until(() => !isAlive(holder), 5);
	});
});

describe('a mount whose process dies', () => {
	for (const [title, signal] of [
		['while somebody reads gives him an error, and is cleared by umount and by the next mount', 'SIGKILL'],
		['by a crash, the same', 'SIGSEGV'],
	] as const) {
		it(title, async () => {
			for (const clear of [() => umount(mountpoint), () => mount()]) {
				await mount();
				const holder = await findHolder(mountpoint);
				assert.ok(holder);
				const reader = run('cat', [join(mountpoint, 'stuck')]);
				const refused = assert.rejects(reader, { code: 1 });
				await sleep(500);
				process.kill(holder.pid, signal);
				await refused;
				await until(() => !isAlive(holder), 5);
				await assert.rejects(stat(mountpoint), fails('ENOTCONN'));
				await clear();
			}
			assert.ok(DATA.equals(await readFile(at('data'))));
			await umount(mountpoint);
		});
	}

	it('is not held by its children', async () => {
		await mount();
		const holder = await findHolder(mountpoint);
		const folder = `/proc/${holder?.pid}/fd`;
		const devices: string[] = [];
		for (const fd of await readdir(folder)) {
			if ((await readlink(join(folder, fd)).catch(() => '')) === '/dev/fuse') devices.push(fd);
		}
		assert.equal(devices.length, 1);
		const info = await readFile(`/proc/${holder?.pid}/fdinfo/${devices[0]}`, 'utf8');
		const [, flags] = /^flags:\s+(\d+)$/m.exec(info) ?? [];
		// O_CLOEXEC
		assert.ok(Number.parseInt(flags as string, 8) & 0o2000000, info);
		await umount(mountpoint);
	});
});

describe('the path-based driver', () => {
	it('refuses a directory that takes the name of another, whose pages the kernel may still show', async () => {
		const folder = await new SyntheticTree().getattr(ROOT_INO);
		let shown: Attributes = { ...folder, ino: 7 };
		class ChangingTree extends SyntheticTree {
			override async lookup(): Promise<Attributes> {
				return shown;
			}
		}
		const resolver = new PathResolver(new ChangingTree());
		assert.equal((await resolver.resolve('/2010-10-04')).ino, 7);
		shown = { ...folder, ino: 8 };
		await assert.rejects(
			resolver.resolve('/2010-10-04'),
			(error) => error instanceof Errno && error.code === 'ESTALE',
		);
		shown = { ...folder, ino: 8, type: 'symlink' };
		assert.equal((await resolver.resolve('/2010-10-04')).type, 'symlink');
	});

	it('gives up waiting at the deadline', async () => {
		await assert.rejects(withDeadline(sleep(500, 'late'), 20), /no answer within 0.02 s/);
		assert.equal(await withDeadline(Promise.resolve('soon'), 20), 'soon');
	});
});

/** What is damaged, lost or forged on the target and in the cache: never wrong bytes, never silence, never a crash. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
	cpSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	truncateSync,
	writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import Database from 'better-sqlite3';
import { parseName } from '../src/collection/names.js';
import type { Metadata } from '../src/index/entry.js';
import { volumeId } from '../src/index/extents.js';
import { formatLine, type SegmentLine } from '../src/index/segment.js';
import { type Encryptor, passphraseEncryptor } from '../src/openpgp/encryptor.js';
import { FolderTarget } from '../src/target/file.js';
import { FRAME_LENGTH, type Frame } from '../src/volume/frame.js';
import { VolumeWriter } from '../src/volume/writer.js';
import { profile, sandbox, tsdup } from './cli.js';

const PASSPHRASE = 'a passphrase of the damage test';

const box = sandbox();
const source = join(box.dir, 'source');
const pristine = join(box.dir, 'pristine');
const target = join(box.dir, 'target');
const mountpoint = join(box.dir, 'mnt');
const content = new Map<string, Buffer>();

/** Three sets: a full of one volume of four frames, and two increments that change `a`. */
before(async () => {
	mkdirSync(source);
	mkdirSync(mountpoint);
	profile(box, 'p', `SOURCE='${source}'\nTARGET='file://${target}'\nGPG_PW='${PASSPHRASE}'\n`);
	for (const [name, size] of [
		['a', 1000],
		['b', 3_500_000],
		['c', 1000],
	] as const)
		write(name, size);
	for (let i = 0; i < 3; i++) {
		if (i > 0) write('a', 1000 + i);
		const { code, stderr } = await tsdup(['backup', 'p'], box);
		assert.equal(code, 0, stderr);
	}
	cpSync(target, pristine, { recursive: true });
});

after(() => box.remove());

function write(name: string, size: number): void {
	content.set(name, randomBytes(size));
	writeFileSync(join(source, name), content.get(name) as Buffer);
}

/** An undamaged target, and an environment with an empty cache. */
function fresh(): { env: NodeJS.ProcessEnv; cache: string } {
	rmSync(target, { recursive: true, force: true });
	cpSync(pristine, target, { recursive: true });
	const cache = mkdtempSync(join(box.dir, 'cache-'));
	return { env: { ...box.env, XDG_CACHE_HOME: cache }, cache };
}

function objectPath(part: string, set: number): string {
	const names = readdirSync(pristine).filter((name) => parseName(name)?.part === part);
	names.sort((a, b) => (parseName(a)?.time ?? 0) - (parseName(b)?.time ?? 0));
	return join(target, names[set] as string);
}

function flip(path: string, at: number): void {
	const bytes = readFileSync(path);
	bytes[at] = (bytes[at] as number) ^ 0x10;
	writeFileSync(path, bytes);
}

/** @returns what the mount command said */
async function mounted(env: NodeJS.ProcessEnv, use: (said: string) => void | Promise<void>): Promise<void> {
	const { code, stdout, stderr } = await tsdup(['mount', '-p', 'p', mountpoint], { env });
	assert.equal(code, 0, stderr);
	try {
		await use(stdout + stderr);
	} finally {
		const { code, stderr } = await tsdup(['umount', mountpoint], { env });
		assert.equal(code, 0, stderr);
	}
}

/** In another process: a mount must never be read by a process that may wait for it. */
function readable(path: string, range: string[] = []): boolean {
	const { status, stdout, stderr } = spawnSync('dd', [`if=${path}`, 'bs=4096', 'status=none', ...range], {
		maxBuffer: 2 ** 24,
	});
	if (status !== 0) {
		assert.match(stderr.toString(), /Input\/output error/);
		return false;
	}
	if (range.length === 0) {
		const expected = content.get(path.at(-1) as string) as Buffer;
		assert.ok(stdout.equals(expected), `${path} has other bytes`);
	}
	return true;
}

function readableFiles(): string[] {
	return ['a', 'b', 'c'].filter((name) => readable(join(mountpoint, 'latest', name)));
}

function snapshots(): string[] {
	return execFileSync('ls', [mountpoint])
		.toString()
		.split('\n')
		.filter((name) => name.includes('_'));
}

describe('the index', () => {
	const damages: [string, (path: string) => void][] = [
		['of another version', (path) => new Database(path).pragma('user_version = 99')],
		[
			'of a version that tsdup does not know the tables of',
			(path) => new Database(path).exec('DROP TABLE frames; PRAGMA user_version = 0'),
		],
		['that is cut off', (path) => truncateSync(path, 5000)],
		['that is empty', (path) => truncateSync(path, 0)],
		['that is no database', (path) => writeFileSync(path, randomBytes(20_000))],
	];
	for (const [what, damage] of damages) {
		test(`${what} is built again without a word`, async () => {
			const { env, cache } = fresh();
			assert.equal((await tsdup(['status', 'p'], { env })).code, 0);
			const [id] = readdirSync(join(cache, 'tsdup/collections'));
			damage(join(cache, 'tsdup/collections', id as string, 'index.sqlite'));
			await mounted(env, (said) => {
				assert.match(said, /^Mounted at [^\n]*\n$/);
				assert.deepEqual(readableFiles(), ['a', 'b', 'c']);
			});
			const { code, stderr } = await tsdup(['backup', 'p'], { env });
			assert.equal(code, 0, stderr);
		});
	}
});

test('the cache deleted under a mount: what is read goes on being right', async () => {
	const { env, cache } = fresh();
	await mounted(env, () => {
		assert.ok(readable(join(mountpoint, 'latest/a')));
		rmSync(join(cache, 'tsdup/collections'), { recursive: true });
		assert.deepEqual(readableFiles(), ['a', 'b', 'c']);
	});
});

describe('a damaged volume: EIO for what lies in the damage, and the log names the object', () => {
	// Random bytes are stored as long as they are, so an object's megabytes are its frames.
	const cases: [string, (path: string) => void, string[], (path: string) => void][] = [
		[
			'a bit in the third frame',
			(path) => flip(path, 2.5 * FRAME_LENGTH),
			['a', 'c'],
			(path) => {
				assert.ok(readable(path, ['count=400']), 'what is before');
				assert.ok(!readable(path, ['skip=640', 'count=1']), 'in the damage');
				assert.ok(readable(path, ['skip=780']), 'what is behind');
			},
		],
		['a bit in the first frame', (path) => flip(path, 2000), ['a', 'c'], () => {}],
		['a bit in the last frame', (path) => flip(path, statSync(path).size - 2000), ['a'], () => {}],
		['cut off in the middle', (path) => truncateSync(path, 1.5 * FRAME_LENGTH), ['a'], () => {}],
		['gone', (path) => rmSync(path), ['a'], () => {}],
	];
	for (const [what, damage, left, look] of cases) {
		test(what, async () => {
			const { env, cache } = fresh();
			const volume = objectPath('volume', 0);
			damage(volume);
			await mounted(env, () => {
				// `a` lies in the last increment's volume.
				assert.deepEqual(readableFiles(), left);
				look(join(mountpoint, 'latest/b'));
				assert.equal(execFileSync('ls', [join(mountpoint, 'latest')]).toString(), 'a\nb\nc\n');
				const log = readFileSync(join(cache, 'tsdup/mount.log'), 'utf8');
				assert.match(log, new RegExp(`\\bb of .* cannot be read: .*${volume.split('/').at(-1)}`));
			});
			const restored = join(mkdtempSync(join(box.dir, 'restored-')), 'all');
			const ended = await tsdup(['restore', 'p', restored], { env });
			assert.equal(ended.code, what === 'gone' ? 7 : 4, ended.stderr);
			assert.match(ended.stderr, /warning: .*\/b: /);
			for (const name of left)
				assert.ok(readFileSync(join(restored, name)).equals(content.get(name) as Buffer));
		});
	}
});

describe('a damaged segment: its set is shown from its signatures, and that is said', () => {
	const damages: [string, (path: string) => void][] = [
		['a bit', (path) => flip(path, statSync(path).size - 100)],
		['a bit near its beginning', (path) => flip(path, 70)],
		['cut off', (path) => truncateSync(path, statSync(path).size - 30)],
		['empty', (path) => truncateSync(path, 0)],
		['no OpenPGP message', (path) => writeFileSync(path, randomBytes(1000))],
		['gone', (path) => rmSync(path)],
	];
	for (const [what, damage] of damages) {
		test(what, async () => {
			const { env } = fresh();
			const segment = objectPath('segment', 1);
			damage(segment);
			await mounted(env, (said) => {
				const told = new RegExp(`^p: ${segment.split('/').at(-1)} cannot be used: `, 'm');
				if (what === 'gone') assert.doesNotMatch(said, /cannot be/);
				else assert.match(said, told);
				assert.equal(snapshots().length, 3);
				assert.deepEqual(readableFiles(), ['a', 'b', 'c']);
			});
		});
	}
});

describe('a forged segment', () => {
	const times = () =>
		[0, 1, 2].map((set) => parseName(objectPath('manifest', set).split('/').at(-1) as string)?.time);
	const file: Metadata = {
		type: 'file',
		mode: 0o644,
		uid: 0,
		gid: 0,
		uname: Buffer.alloc(0),
		gname: Buffer.alloc(0),
		mtime: 1e9,
		mtimeNs: 0,
		size: 10,
		link: null,
		devMajor: 0,
		devMinor: 0,
		xattrs: null,
		hardLink: null,
		allocated: null,
	};
	const root: Metadata = { ...file, type: 'dir', mode: 0o755, size: 0 };
	const frame: Frame = { tarOffset: 0, tarLength: 1024, offset: 50, length: 500, digest: randomBytes(32) };

	/** Puts one in the place of the full's: the root and one file, as given. */
	async function forge(
		given: { path?: Buffer; metadata?: Partial<Metadata>; offset?: number; name?: string; frames?: Frame[] },
		encryptor: Encryptor | null = passphraseEncryptor(PASSPHRASE),
	): Promise<void> {
		const time = times()[0] as number;
		const id = volumeId(time, 1);
		const name = objectPath('segment', 0).split('/').at(-1) as string;
		rmSync(objectPath('segment', 0));
		const object = new FolderTarget(target).create(encryptor ? name : name.replace('.gpg', '.gz'));
		const writer = new VolumeWriter(object, name, encryptor);
		const metadata = { ...file, ...given.metadata };
		const volume = {
			name: given.name ?? (objectPath('volume', 0).split('/').at(-1) as string),
			size: 100_000,
			sha1: '00',
			key: randomBytes(32),
			body: 60,
			tarLength: 1024,
			frames: given.frames ?? [frame],
		};
		const lines: SegmentLine[] = [
			{ kind: 'set', set: { kind: 'full', time, start: null, chain: time } },
			{ kind: 'entry', path: Buffer.alloc(0), metadata: root, extents: [], delta: null, signature: null },
			{
				kind: 'entry',
				path: given.path ?? Buffer.from('file'),
				metadata,
				extents: [{ length: metadata.size, volume: id, offset: given.offset ?? 0 }],
				delta: null,
				signature: null,
			},
			{ kind: 'volume', id, volume },
			{ kind: 'end', entries: 2 },
		];
		for (const line of lines) await writer.write(formatLine(line));
		await writer.finish();
		await object.commit();
	}

	/** Refused with these words, and nothing of it is shown: the set is, from its signatures. */
	async function assertRefused(env: NodeJS.ProcessEnv, says: RegExp): Promise<void> {
		await mounted(env, (said) => {
			assert.match(said, says);
			assert.equal(snapshots().length, 3);
			assert.equal(execFileSync('ls', ['-A', join(mountpoint, 'latest')]).toString(), 'a\nb\nc\n');
			const oldest = join(mountpoint, snapshots().sort()[0] as string);
			assert.equal(execFileSync('ls', ['-A', oldest]).toString(), 'a\nb\nc\n');
			assert.deepEqual(readableFiles(), ['a', 'b', 'c']);
		});
	}

	for (const path of ['..', '../../etc/cron.d/x', 'a/../b', '.', 'a//b', '/etc/passwd', 'a/', 'with\0nul']) {
		test(`with the path ${JSON.stringify(path)} is refused`, async () => {
			const { env } = fresh();
			await forge({ path: Buffer.from(path) });
			await assertRefused(env, /segment\.gpg cannot be used: .*holds a path that no file can have/);
		});
	}

	test('with numbers that no file can have is refused', async () => {
		for (const metadata of [
			{ mode: 0o40755 },
			{ mode: -1 },
			{ uid: -1 },
			{ gid: 2 ** 40 },
			{ devMajor: -1 },
		]) {
			const { env } = fresh();
			await forge({ metadata });
			await assertRefused(env, /segment\.gpg cannot be used: /);
		}
	});

	test('with volumes that are not of its set is refused: names lead nowhere else', async () => {
		const names = [
			'../../../../../etc/passwd',
			'/etc/passwd',
			'README',
			'a/b',
			objectPath('volume', 1).split('/').at(-1) as string,
		];
		for (const name of names) {
			const { env } = fresh();
			await forge({ name });
			await assertRefused(env, /segment\.gpg cannot be used: /);
		}
	});

	test('with frames of any size, or extents beyond their volume: EIO, and the mount lives', async () => {
		const cases: Parameters<typeof forge>[0][] = [
			{ offset: 5000 },
			{ offset: 2 ** 50 },
			{ metadata: { mtime: 2 ** 52 } },
			{ metadata: { mtime: -5 } },
			{ frames: [{ ...frame, tarLength: 2 ** 45, length: 2 ** 45 }] },
			{ frames: [{ ...frame, offset: -1000 }] },
			{ frames: [] },
		];
		for (const given of cases) {
			const { env } = fresh();
			await forge(given);
			await mounted(env, (said) => {
				if (/segment\.gpg cannot be used: /.test(said)) {
					assert.deepEqual(readableFiles(), ['a', 'b', 'c']);
					return;
				}
				assert.ok(!readable(join(mountpoint, 'latest/file')));
				assert.match(execFileSync('ls', ['-l', join(mountpoint, 'latest/')]).toString(), / file$/m);
			});
		}
	});

	test('that is not encrypted, in a collection that is, is refused', async () => {
		const { env } = fresh();
		await forge({}, null);
		await mounted(env, (said) => {
			assert.match(said, /cannot be shown: .*not encrypted/);
			assert.equal(execFileSync('ls', ['-A', mountpoint]).toString(), '');
		});
	});

	test('makes nothing outside of the cache', () => {
		for (const name of ['passwd.0', 'cron.d']) assert.ok(!existsSync(join(box.dir, name)));
	});
});

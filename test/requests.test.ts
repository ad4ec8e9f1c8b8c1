/** What an action costs: the exact list of requests that go to the target. Storage is billed, and waited for, by them. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { parseName } from '../src/collection/names.js';
import type { Request } from '../src/target/recording.js';
import { profile, type Sandbox, sandbox, tsdup } from './cli.js';
import { startRadosgw } from './radosgw.js';
import { bytesFrom } from './seeded.js';

const run = promisify(execFile);

/** A megabyte of tar and what stands before it: the most that reading one small file may fetch, bytes. */
const ONE_FRAME = 1.1 * 2 ** 20;

for (const kind of ['file', 's3'] as const) {
	describe(kind === 'file' ? 'a folder' : 'S3', () => {
		const box = sandbox();
		const source = join(box.dir, 'source');
		const mountpoint = join(box.dir, 'mnt');
		const small = join(mountpoint, 'latest/folder/small-7');
		const content = (name: string) => readFileSync(join(source, name));

		test('a profile and a first full backup', async () => {
			const target = kind === 'file' ? folderConf(box) : await bucketConf();
			profile(box, 'p', `SOURCE='${source}'\nGPG_PW='a passphrase of the request test'\n${target}`);
			mkdirSync(join(source, 'folder'), { recursive: true });
			mkdirSync(mountpoint);
			writeFileSync(join(source, 'big'), Buffer.alloc(3_000_000, 'some content that compresses a bit'));
			for (let i = 0; i < 50; i++) writeFileSync(join(source, `folder/small-${i}`), `small file ${i}`);
			assert.deepEqual(await requests(box, ['backup', 'p']), [
				'list',
				'put volume 1',
				'put sigtar',
				'put manifest',
				'put segment',
			]);
		});

		test('a backup of nothing new: one listing, and the four objects of a set in the order of a commit', async () => {
			for (let i = 0; i < 2; i++) {
				assert.deepEqual(await requests(box, ['backup', 'p']), [
					'list',
					'put volume 1',
					'put sigtar',
					'put manifest',
					'put segment',
				]);
			}
		});

		test('a backup of one changed file also reads the part of the sigtar that holds its signature', async () => {
			writeFileSync(join(source, 'folder/small-7'), 'small file 7, changed');
			const all = await traced(box, ['backup', 'p']);
			assert.deepEqual(all.map(inWords), [
				'list',
				'read sigtar',
				'put volume 1',
				'put sigtar',
				'put manifest',
				'put segment',
			]);
			assert.ok((all[1]?.length ?? 0) < ONE_FRAME);
		});

		test('a new file needs no signature', async () => {
			writeFileSync(join(source, 'new'), 'new');
			assert.deepEqual(await requests(box, ['backup', 'p']), [
				'list',
				'put volume 1',
				'put sigtar',
				'put manifest',
				'put segment',
			]);
		});

		test('a mount without a cache: one listing, and the segment of each set', async () => {
			rmSync(box.env.XDG_CACHE_HOME as string, { recursive: true });
			assert.deepEqual(await requests(box, ['mount', '-p', 'p', mountpoint]), [
				'list',
				...Array(5).fill('stream segment'),
			]);
		});

		test('listing every snapshot, and df: nothing', async () => {
			const before = trace(box).length;
			const { stdout } = await run('ls', ['-lR', mountpoint]);
			// The day's last one stands under its date alone, too.
			assert.ok((stdout.match(/small-7$/gm)?.length ?? 0) > 5);
			await run('df', [mountpoint]);
			await run('find', [mountpoint, '-ls']);
			assert.deepEqual(trace(box).slice(before), []);
		});

		test('reading one small file: one range of less than 1.1 MiB; reading it again: nothing', async () => {
			const before = trace(box).length;
			assert.equal((await run('cat', [small])).stdout, content('folder/small-7').toString());
			const [read, ...more] = trace(box).slice(before);
			assert.deepEqual([inWords(read as Request), more], ['read volume 1', []]);
			assert.ok((read?.length ?? Number.POSITIVE_INFINITY) < ONE_FRAME);
			await run('cat', [small]);
			// The kernel keeps what it has seen; this asks tsdup again.
			await run('dd', [`if=${small}`, 'iflag=direct', 'status=none']);
			assert.equal(trace(box).length, before + 1);
		});

		test('many readers of one frame at once: one range', async () => {
			const before = trace(box).length;
			const files = [11, 12, 13, 14, 15, 16].map((i) => join(mountpoint, `latest/folder/small-${i}`));
			await Promise.all(files.map((file) => run('cat', [file])));
			assert.deepEqual(trace(box).slice(before).map(inWords), ['read volume 1']);
		});

		test('a whole large file: each of its frames once, in order', async () => {
			const before = trace(box).length;
			await run('cmp', [join(mountpoint, 'latest/big'), join(source, 'big')]);
			const reads = trace(box).slice(before);
			const offsets = reads.map(({ offset }) => offset as number);
			assert.deepEqual(
				offsets,
				[...new Set(offsets)].sort((a, b) => a - b),
			);
			assert.ok(reads.length <= 4 && reads.every((read) => inWords(read) === 'read volume 1'));
		});

		if (kind === 'file') {
			test('mounted again: one listing; a folder is as near as a cache', async () => {
				assert.ok((await mountedAgain()).length <= 4);
				assert.ok(!existsSync(framesDir(box.env.XDG_CACHE_HOME as string)));
			});
		} else {
			test('mounted again: one listing; what was read before comes from the disk', async () => {
				assert.deepEqual(await mountedAgain(), []);
			});

			test('a damaged block in the cache is fetched again', async () => {
				const dir = framesDir(box.env.XDG_CACHE_HOME as string);
				const blocks = readdirSync(dir);
				blocks.forEach((name, i) => {
					const bytes = readFileSync(join(dir, name));
					bytes[500] = (bytes[500] as number) ^ 1;
					writeFileSync(join(dir, name), i % 2 === 0 ? bytes : bytes.subarray(0, 100));
				});
				const reads = await mountedAgain();
				assert.equal(reads.length, blocks.length);
			});
		}

		/** What reading all that was read before asks for. */
		async function mountedAgain(): Promise<string[]> {
			if (existsSync(small)) assert.deepEqual(await requests(box, ['umount', mountpoint]), []);
			assert.deepEqual(await requests(box, ['mount', '-p', 'p', mountpoint]), ['list']);
			const before = trace(box).length;
			assert.equal((await run('cat', [small])).stdout, content('folder/small-7').toString());
			await run('cmp', [join(mountpoint, 'latest/big'), join(source, 'big')]);
			const reads = trace(box).slice(before).map(inWords);
			assert.deepEqual(await requests(box, ['umount', mountpoint]), []);
			return reads;
		}

		test('status, list and a dry run: one listing', async () => {
			assert.deepEqual(await requests(box, ['status', 'p']), ['list']);
			assert.deepEqual(await requests(box, ['list', 'p']), ['list']);
			assert.deepEqual(await requests(box, ['backup', 'p', '--dry-run']), ['list']);
		});

		test('verify: one listing, and each object once, as a stream', async () => {
			const all = await traced(box, ['verify', 'p']);
			const streams = all.filter(({ op }) => op === 'stream').map(({ name }) => name);
			assert.deepEqual(new Set(all.map(({ op }) => op)), new Set(['list', 'stream']));
			assert.equal(all.filter(({ op }) => op === 'list').length, 1);
			assert.equal(new Set(streams).size, streams.length);
			assert.equal(streams.filter((name) => parseName(name as string)?.part === 'manifest').length, 5);
		});

		test('a restore without a cache: no request for each file, and no byte of a volume twice', async () => {
			rmSync(join(box.env.XDG_CACHE_HOME as string, 'tsdup'), { recursive: true });
			const to = join(box.dir, 'restored');
			const all = await traced(box, ['restore', 'p', to]);
			assert.equal(all.filter(({ op }) => op === 'list').length, 1);
			assert.equal(all.filter((request) => inWords(request).endsWith('segment')).length, 5);
			const reads = all.filter(({ op, name }) => op === 'read' && name?.includes('.vol'));
			assertNoByteTwice(reads);
			// Of four volumes, one with frames of three files over a megabyte, for 54 files.
			assert.ok(reads.length < 10, reads.map(inWords).join());
			assert.deepEqual(readFileSync(join(to, 'big')), content('big'));
			assert.equal(readFileSync(join(to, 'folder/small-7'), 'utf8'), 'small file 7, changed');
		});

		test('60 MB read in order: hardly more than is stored of them, in requests of 4 MiB and more', async () => {
			const large = join(box.dir, 'large');
			const at = join(box.dir, 'mnt-large');
			for (const dir of [large, at]) mkdirSync(dir);
			writeFileSync(join(large, 'image'), bytesFrom('an image', 60_000_000));
			const target = kind === 'file' ? folderConf(box, 'large-target') : await bucketConf('large');
			profile(box, 'large', `SOURCE='${large}'\nGPG_PW='a passphrase of the request test'\n${target}`);
			await traced(box, ['backup', 'large']);
			await traced(box, ['mount', '-p', 'large', at]);
			const before = trace(box).length;
			await run('cmp', [join(at, 'latest/image'), join(large, 'image')]);
			const reads = trace(box).slice(before);
			await traced(box, ['umount', at]);
			assertNoByteTwice(reads);
			const bytes = reads.reduce((sum, { length }) => sum + (length ?? 0), 0);
			assert.ok(bytes < 1.05 * 60_000_000, String(bytes));
			assert.ok(bytes / reads.length > 4 * 2 ** 20, JSON.stringify(reads));
		});

		test('the same restored, without a cache: no byte twice', async () => {
			rmSync(join(box.env.XDG_CACHE_HOME as string, 'tsdup'), { recursive: true });
			const to = join(box.dir, 'large-restored');
			const reads = (await traced(box, ['restore', 'large', to])).filter(({ op }) => op === 'read');
			assertNoByteTwice(reads);
			const bytes = reads.reduce((sum, { length }) => sum + (length ?? 0), 0);
			assert.ok(bytes < 1.05 * 60_000_000, String(bytes));
			await run('cmp', [join(to, 'image'), join(box.dir, 'large/image')]);
		});

		if (kind === 's3') {
			test('--cache-size bounds what is kept on disk', async () => {
				const at = join(box.dir, 'mnt-large');
				const cache = join(box.dir, 'small cache');
				const env = { ...box.env, XDG_CACHE_HOME: cache };
				const mounted = await tsdup(['mount', '-p', 'large', '--cache-size', '8M', at], { env });
				assert.equal(mounted.code, 0, mounted.stderr);
				await run('cmp', [join(at, 'latest/image'), join(box.dir, 'large/image')]);
				assert.equal((await tsdup(['umount', at], { env })).code, 0);
				const kept = readdirSync(framesDir(cache)).map((name) => statSync(join(framesDir(cache), name)).size);
				const bytes = kept.reduce((sum, size) => sum + size, 0);
				// By at most what is written while the oldest ones go.
				assert.ok(bytes > 0 && bytes < 24 * 2 ** 20, String(bytes));
			});
		}

		after(async () => {
			box.remove();
			if (kind === 's3') await (await startRadosgw()).stop();
		});
	});
}

/** The blocks in a cache of one collection. */
function framesDir(cache: string): string {
	const collections = join(cache, 'tsdup/collections');
	return join(collections, readdirSync(collections)[0] as string, 'frames');
}

function folderConf(box: Sandbox, name = 'target'): string {
	return `TARGET='file://${box.dir}/${name}'\n`;
}

async function bucketConf(bucket = 'requests'): Promise<string> {
	const server = await startRadosgw();
	await server.createBucket(bucket);
	return [
		`TARGET='s3:///${bucket}/some/prefix'`,
		`TARGET_USER='${server.accessKeyId}'`,
		`TARGET_PASS='${server.secretAccessKey}'`,
		`DUPL_PARAMS='--s3-endpoint-url ${server.endpoint}'`,
	].join('\n');
}

/** Runs tsdup. @returns the requests that it made until it ended */
async function traced(box: Sandbox, args: string[]): Promise<Request[]> {
	const before = trace(box).length;
	const env = { ...box.env, TSDUP_TRACE: join(box.dir, 'trace') };
	const { code, stderr } = await tsdup(args, { env });
	assert.equal(code, 0, stderr);
	return trace(box).slice(before);
}

async function requests(box: Sandbox, args: string[]): Promise<string[]> {
	return (await traced(box, args)).map(inWords);
}

/** But for what CFB needs of the bytes before a range: less than two blocks, and the length octets among them. */
function assertNoByteTwice(reads: readonly Request[]): void {
	const ends = new Map<string, number>();
	const ascending = [...reads].sort((a, b) => (a.offset ?? 0) - (b.offset ?? 0));
	for (const { name = '', offset = 0, length = 0 } of ascending) {
		assert.ok(offset + 40 >= (ends.get(name) ?? 0), `${name} at ${offset}`);
		ends.set(name, offset + length);
	}
}

/** All requests so far, those of mounts in the background, too. */
function trace(box: Sandbox): Request[] {
	const path = join(box.dir, 'trace');
	if (!existsSync(path)) return [];
	const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean);
	return lines.map((line) => JSON.parse(line) as Request);
}

/** Without the times in names. */
function inWords({ op, name }: Request): string {
	if (name === undefined) return op;
	const parsed = parseName(name);
	return [op, parsed?.part ?? name, ...(parsed?.volume ? [parsed.volume] : [])].join(' ');
}

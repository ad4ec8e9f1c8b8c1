/** Names, times, manifests, sets: against what duplicity itself wrote. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { ListedObject } from '../src/collection/backup-set.js';
import { formatManifest, type Manifest, parseManifest } from '../src/collection/manifest.js';
import {
	manifestName,
	type NameProtection,
	type ParsedName,
	parseName,
	segmentName,
	sigtarName,
	volumeName,
} from '../src/collection/names.js';
import { compareTuple } from '../src/collection/order.js';
import { collect } from '../src/collection/sets.js';
import {
	formatSetTime,
	parseSetTime,
	parseTime,
	snapshotDate,
	snapshotDateTime,
} from '../src/collection/times.js';
import { DamageError, UsageError } from '../src/errors.js';

const fixtures = join(import.meta.dirname, '../../test/fixtures');
const step = (n: number) => 1_700_000_000 + n * 86_400;

let unpacked: string;

before(() => {
	unpacked = mkdtempSync(join(tmpdir(), 'tsdup-collection-'));
	for (const name of ['plain-08', 'plain-31', 'resumed-08', 'multivol-08', 'single-08', 'uncompressed-08'])
		unpack(name);
	for (const name of ['chains-08', 'sym-08', 'sym-08.archive-dir', 'interrupted-08', 'extrafiles'])
		unpack(name);
	for (const name of ['dmg-nomanifest', 'dmg-nosig']) unpack(name);
});
after(() => rmSync(unpacked, { recursive: true, force: true }));

function unpack(name: string): void {
	mkdirSync(join(unpacked, name));
	const archive = join(fixtures, `${name}.tar.gz`);
	execFileSync('tar', ['-xzf', archive, '-C', join(unpacked, name), '--strip-components=1']);
}

function listing(name: string): ListedObject[] {
	const dir = join(unpacked, name);
	return readdirSync(dir)
		.filter((file) => statSync(join(dir, file)).isFile())
		.map((file) => ({ name: file, size: statSync(join(dir, file)).size }));
}

function manifests(): { name: string; bytes: Buffer }[] {
	const paths = readdirSync(unpacked, { recursive: true, encoding: 'utf8' });
	return paths
		.filter((path) => path.endsWith('.manifest'))
		.map((path) => ({ name: path, bytes: readFileSync(join(unpacked, path)) }));
}

function assertDamaged(text: string, what: RegExp): void {
	const read = () => [...parseManifest(Buffer.from(text, 'latin1'), 'the.manifest').files];
	assert.throws(read, (error) => error instanceof DamageError && what.test(error.message));
}

describe('names', () => {
	test('every name duplicity wrote is parsed, and writing it gives the same name', () => {
		const names = ['plain-08', 'sym-08', 'multivol-08', 'chains-08'].flatMap((fixture) => listing(fixture));
		assert.ok(names.length > 50);
		for (const { name } of names) {
			const parsed = parseName(name);
			assert.ok(parsed, name);
			const protection = parsed.encrypted ? 'gpg' : 'none';
			// Nothing writes plain volumes and sigtars any more; multivol-08 has some.
			const expected = name.replace(/\.(difftar|sigtar)$/, '.$1.gz');
			assert.equal(format(parsed, protection), expected);
		}
	});

	test('a name tells kind, times, part, volume and protection', () => {
		assert.deepEqual(parseName('duplicity-inc.20231114T221320Z.to.20231115T221320Z.vol12.difftar.gpg'), {
			kind: 'inc',
			start: step(0),
			time: step(1),
			name: 'duplicity-inc.20231114T221320Z.to.20231115T221320Z.vol12.difftar.gpg',
			part: 'volume',
			volume: 12,
			encrypted: true,
			compressed: false,
			gpgsm: false,
		});
		const segment = parseName(segmentName({ kind: 'full', start: null, time: step(0) }, 'none'));
		assert.equal(segment?.name, 'tsdup-index.20231114T221320Z.segment.gz');
		assert.equal(segment?.part, 'segment');
		const later = { kind: 'inc', start: step(0), time: step(1) } as const;
		assert.equal(segmentName(later, 'gpg'), 'tsdup-index.20231114T221320Z.to.20231115T221320Z.segment.gpg');
	});

	test('look-alikes that stock trips over are foreign', () => {
		for (const name of [
			'duplicity-full.20231114T221320Z.vol1.difftar.gz.tmp',
			'duplicity-full.20231114T221320Z.vol1.difftar.gpg.par2',
			'duplicity-full.20231114T221320Z.vol01.difftar.gz',
			'duplicity-full.20231114T221320Z.vol0.difftar.gz',
			'duplicity-full.20231114T221320Z.vol1.manifest',
			'duplicity-full.20231114T221320Z.difftar.gz',
			'duplicity-full.20231114T221320Z.manifest.gz',
			'duplicity-full.20231114T221320Z.manifest.part',
			'duplicity-full.20231114T221320Z.manifest\n',
			'duplicity-full.20231114T221320Z.index.gz',
			'duplicity-full.20230230T221320Z.manifest',
			'duplicity-full.19700101T000000Z.manifest',
			'duplicity-inc.20231114T221320Z.manifest',
			'duplicity-full.20231114T221320Z.to.20231115T221320Z.manifest',
			'duplicity-full-signatures.20231114T221320Z.to.20231115T221320Z.sigtar.gz',
			'x-duplicity-full.20231114T221320Z.vol1.difftar.gz',
			'.duplicity-full.20231114T221320Z.manifest',
			'tsdup-index.20231114T221320Z.segment',
		]) {
			assert.equal(parseName(name), null, name);
		}
	});

	function format(parsed: ParsedName, protection: NameProtection): string {
		switch (parsed.part) {
			case 'volume':
				return volumeName(parsed, parsed.volume as number, protection);
			case 'manifest':
				return manifestName(parsed, protection);
			case 'sigtar':
				return sigtarName(parsed, protection);
			case 'segment':
				return segmentName(parsed, protection);
			case 'jsonstat':
				throw new TypeError('statistics are never written');
		}
	}
});

describe('times', () => {
	const now = 1_700_000_000;
	const savedZone = process.env.TZ;
	before(() => {
		process.env.TZ = 'Europe/Berlin';
	});
	after(() => {
		if (savedZone === undefined) delete process.env.TZ;
		else process.env.TZ = savedZone;
	});

	test('the time in a name is UTC', () => {
		assert.equal(formatSetTime(now), '20231114T221320Z');
		assert.equal(parseSetTime('20231114T221320Z'), now);
		assert.equal(parseSetTime('20231114T241320Z'), null);
		assert.equal(parseSetTime('20230229T000000Z'), null);
	});

	test('every form of duplicity is understood, and small letters for D, W and Y, local times with daylight saving', () => {
		const utc = (text: string) => Date.parse(text) / 1000;
		const forms: [string, number][] = [
			['now', now],
			['1286199338', 1_286_199_338],
			['20101004T133538Z', utc('2010-10-04T13:35:38Z')],
			['2010-10-04T15:35:38+02:00', utc('2010-10-04T13:35:38Z')],
			['2010-10-04T08:05:38-05:30', utc('2010-10-04T13:35:38Z')],
			['2010-10-04T13:35:38Z', utc('2010-10-04T13:35:38Z')],
			['2010-10-04T15:35:38', utc('2010-10-04T13:35:38Z')],
			['2010-12-04T15:35:38', utc('2010-12-04T14:35:38Z')],
			['2010-10-04', utc('2010-10-03T22:00:00Z')],
			['2010/10/4', utc('2010-10-03T22:00:00Z')],
			['10-4-2010', utc('2010-10-03T22:00:00Z')],
			['10/04/2010', utc('2010-10-03T22:00:00Z')],
			['20101004Z', utc('2010-10-03T22:00:00Z')],
			['2010-12-04', utc('2010-12-03T23:00:00Z')],
			['7D', now - 7 * 86_400],
			['7d', now - 7 * 86_400],
			['1w1y', now - 372 * 86_400],
			['1m', now - 60],
			['2W', now - 14 * 86_400],
			['1M3D', now - 33 * 86_400],
			['1Y', now - 365 * 86_400],
			['1h30m', now - 5400],
			['10s', now - 10],
		];
		for (const [text, seconds] of forms) assert.equal(parseTime(text, now), seconds, text);
	});

	test('what is no time is refused, and the message names the forms', () => {
		for (const text of [
			'',
			'yesterday',
			'1H',
			'2010-13-01',
			'2010-02-30',
			'2010-10-04T25:00:00',
			'-5',
			'1.5D',
		]) {
			assert.throws(
				() => parseTime(text, now),
				(error) => error instanceof UsageError && /2010-10-04/.test(error.message),
				text,
			);
		}
	});

	test('snapshots are named by local date and time, without colons', () => {
		assert.equal(snapshotDate(1_286_199_338), '2010-10-04');
		assert.equal(snapshotDateTime(1_286_199_338), '2010-10-04_15-35-38');
		assert.equal(snapshotDate(parseTime('2010-10-04', now)), '2010-10-04');
	});
});

describe('path order', () => {
	test('components are compared, so a directory comes right before what is in it', () => {
		const sorted = ['', 'a', 'dir', 'dir/a.txt', 'dir/b/c', 'dir-a', 'dir.a', 'dir0', '\xe4'];
		const paths = sorted.map((path) => Buffer.from(path, 'latin1'));
		assert.deepEqual([...paths].reverse().sort(compareTuple), paths);
	});

	test('it is the order in which duplicity lists a tree', () => {
		const tree = readFileSync(join(fixtures, 'expected/std-0.jsonl'), 'utf8').trim().split('\n');
		const paths = tree.map((line) =>
			Buffer.from((JSON.parse(line) as { path_b64: string }).path_b64, 'base64'),
		);
		const relative = paths.map((path) => (path.toString() === '.' ? Buffer.alloc(0) : path));
		assert.deepEqual([...relative].sort(compareTuple), relative);
	});
});

describe('manifest', () => {
	test("duplicity's manifests come back byte for byte when parsed and written again", () => {
		const all = manifests();
		assert.ok(all.length >= 30);
		for (const { name, bytes } of all) {
			const written = formatManifest(parseManifest(bytes, name)).toString('latin1');
			// The resumed run's manifest has volume 3 twice, which is not written again.
			const expected = bytes.toString('latin1').replace(/(Volume 3:\n(?: {4}.*\n)+)\1/, '$1');
			assert.equal(written, expected, name);
		}
	});

	test('paths come back as bytes, with blanks, quotes, newlines and Latin-1', () => {
		const [full] = manifests().filter(
			({ name }) => name === 'plain-08/duplicity-full.20231114T221320Z.manifest',
		);
		assert.ok(full);
		const manifest = parseManifest(full.bytes, full.name);
		const paths = [...manifest.files].map((file) => file.path.toString('latin1'));
		for (const path of [
			' leading space',
			'back\\slash.txt',
			'new\nline.txt',
			'quote"double.txt',
			'latin1-\xe4\xf6\xfc.txt',
		]) {
			assert.ok(paths.includes(path), path);
		}
		assert.equal(paths.length, 41);
		assert.equal(manifest.hostname, 'vm');
		assert.equal(manifest.localdir?.toString(), '/tmp/dupfix/src-std');
		assert.deepEqual(manifest.volumes[0]?.start, { path: Buffer.alloc(0), block: null });
	});

	test('any path survives writing and reading', () => {
		const bytes = Buffer.from(Array.from({ length: 255 }, (_, i) => i + 1));
		const manifest: Manifest = {
			hostname: 'höst',
			localdir: bytes,
			volumes: [
				{
					number: 1,
					start: { path: bytes, block: 3 },
					end: { path: bytes, block: null },
					sha1: 'ab'.repeat(20),
				},
			],
			files: [
				{ type: 'deleted', path: bytes },
				{ type: 'new', path: Buffer.alloc(0) },
			],
		};
		const read = parseManifest(formatManifest(manifest), 'm');
		assert.deepEqual({ ...read, files: [...read.files] }, manifest);
		const unlisted = formatManifest({ ...manifest, files: null });
		assert.ok(!unlisted.includes('Filelist'));
		assert.deepEqual(parseManifest(unlisted, 'm'), { ...manifest, files: [] });
		for (const byte of bytes) {
			const path = Buffer.from([0x78, byte, 0x78]);
			const one = { ...manifest, files: [{ type: 'new', path }] } as const;
			assert.deepEqual([...parseManifest(formatManifest(one), 'm').files], [{ type: 'new', path }]);
		}
	});

	const volume = (n: number) =>
		`Volume ${n}:\n    StartingPath   .  \n    EndingPath     z 7\n    Hash SHA1 ${String(n).repeat(40)}\n`;

	test("duplicity's variations are read: CRLF, unknown lines, no newline at the end, lower case", () => {
		const text = `Unknown\n${volume(1).toLowerCase()}    Hash SHA256 00ff\n    Colour red\n${volume(2)}Something else\n`;
		for (const variant of [text, text.replaceAll('\n', '\r\n'), text.slice(0, -1)]) {
			const { volumes, hostname, localdir } = parseManifest(Buffer.from(variant), 'm');
			assert.deepEqual([volumes.length, hostname, localdir], [2, null, null]);
			assert.deepEqual(volumes[1]?.end, { path: Buffer.from('z'), block: 7 });
			assert.equal(volumes[0]?.sha1, '1'.repeat(40));
		}
	});

	test('of a volume recorded twice the last record counts, and what is numbered above it is dropped', () => {
		const text =
			volume(1) + volume(2) + volume(3) + volume(4) + volume(2).replaceAll('2'.repeat(40), 'f'.repeat(40));
		const { volumes } = parseManifest(Buffer.from(text), 'm');
		assert.deepEqual(
			volumes.map((v) => v.sha1[0]),
			['1', 'f'],
		);
	});

	test('a manifest that would hide a volume is damage, never a shorter backup', () => {
		assertDamaged('', /no volume/);
		assertDamaged(volume(2) + volume(1), /Volume 2:.*follows volume 0/);
		assertDamaged(volume(1) + volume(3), /Volume 3:.*follows volume 1/);
		assertDamaged(volume(1).replace('SHA1', 'SHA256'), /volume 1 lacks/);
		assertDamaged(volume(1).slice(0, -10), /volume 1 lacks/);
		assertDamaged(volume(1).replace(' z 7', ' z y 7'), /not a path/);
		assertDamaged(`${volume(1)}Filelist 2\n    new      a\n`, /1 lines instead of 2/);
	});

	test('volumes out of order are never written', () => {
		const { volumes } = parseManifest(Buffer.from(volume(1) + volume(2)), 'm');
		const manifest = { hostname: null, localdir: null, volumes: [...volumes].reverse(), files: [] };
		assert.throws(() => formatManifest(manifest), RangeError);
	});
});

describe('sets and chains', () => {
	const times = (sets: readonly { time: number }[]) => sets.map((set) => (set.time - step(0)) / 86_400);

	test('a full and its increments are a chain; sizes and names of all objects are kept', () => {
		const objects = listing('plain-08');
		const { chains, newest, incomplete, orphaned, duplicates, foreign } = collect(objects.reverse());
		assert.deepEqual(
			chains.map((chain) => times(chain.sets)),
			[[0, 1, 2, 3, 4, 5]],
		);
		assert.equal(newest, chains[0]);
		assert.deepEqual([newest?.start, newest?.end], [step(0), step(5)]);
		assert.deepEqual([incomplete, orphaned, duplicates, foreign], [[], [], [], 0]);
		const sets = newest?.sets ?? [];
		const kept = sets.flatMap((set) => [set.manifest, set.sigtar, ...set.volumes]);
		const sum = (list: readonly ({ size: number } | null)[]) => list.reduce((n, o) => n + (o?.size ?? 0), 0);
		assert.equal(sum(kept), sum(objects));
	});

	test('two fulls are two chains, in order of time', () => {
		const { chains, newest } = collect(listing('chains-08'));
		assert.deepEqual(
			chains.map((chain) => times(chain.sets)),
			[
				[0, 1, 2],
				[3, 4, 5],
			],
		);
		assert.equal(newest, chains[1]);
	});

	test('a volume above nine is last, not second', () => {
		const set = { kind: 'full', start: null, time: step(0) } as const;
		const objects = [11, 2, 1, 10].map((n) => ({ name: volumeName(set, n, 'gpg'), size: n }));
		assert.deepEqual(
			collect(objects).incomplete[0]?.volumes.map((v) => v.number),
			[1, 2, 10, 11],
		);
	});

	test('volumes without a manifest are an incomplete set and in no chain', () => {
		const interrupted = readdirSync(join(unpacked, 'interrupted-08/target')).map((name) => ({
			name,
			size: 1,
		}));
		const { chains, newest, incomplete } = collect(interrupted);
		assert.deepEqual([chains, newest, incomplete.length, incomplete[0]?.volumes.length], [[], null, 1, 3]);
		const lost = collect(listing('dmg-nomanifest'));
		assert.deepEqual(times(lost.newest?.sets ?? []), [0, 1, 2, 3, 4]);
		assert.deepEqual(times(lost.incomplete), [5]);
	});

	test('increments behind a gap are orphaned and named, not dropped', () => {
		const objects = listing('plain-08').filter(({ name }) => !name.includes('to.20231116T221320Z.manifest'));
		const { newest, incomplete, orphaned } = collect(objects);
		assert.deepEqual(times(newest?.sets ?? []), [0, 1]);
		assert.deepEqual([times(incomplete), times(orphaned)], [[2], [3, 4, 5]]);
	});

	test('a later increment with the same start replaces the earlier', () => {
		const sets = [
			{ kind: 'full', start: null, time: step(0) },
			{ kind: 'inc', start: step(0), time: step(1) },
			{ kind: 'inc', start: step(0), time: step(2) },
			{ kind: 'inc', start: step(2), time: step(3) },
			{ kind: 'inc', start: step(9), time: step(4) },
			{ kind: 'inc', start: step(0), time: step(0) },
		] as const;
		const { chains, orphaned } = collect(sets.map((set) => ({ name: manifestName(set, 'none'), size: 1 })));
		assert.deepEqual(
			chains.map((chain) => times(chain.sets)),
			[[0, 2, 3]],
		);
		assert.deepEqual(times(orphaned), [0, 1, 4]);
	});

	test('a set without its sigtar stays in the chain', () => {
		const sets = collect(listing('dmg-nosig')).newest?.sets ?? [];
		assert.deepEqual([sets.length, sets.at(-1)?.sigtar], [6, null]);
	});

	test('foreign objects are counted and otherwise ignored', () => {
		const extra = collect(listing('extrafiles'));
		assert.deepEqual([extra.newest?.sets.length, extra.foreign], [6, 5]);
	});

	test('a plain copy beside an encrypted object is never used, and is named', () => {
		const both = [...listing('sym-08.archive-dir'), ...listing('sym-08')];
		for (const objects of [both, [...both].reverse()]) {
			const { newest, duplicates } = collect(objects);
			assert.equal(newest?.sets.length, 6);
			assert.ok(newest.sets.every((set) => set.manifest?.encrypted && set.sigtar?.encrypted));
			assert.deepEqual(
				duplicates,
				listing('sym-08.archive-dir')
					.map(({ name }) => name)
					.sort(),
			);
		}
	});
});

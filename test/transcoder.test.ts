import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { DamageError, TargetError } from '../src/errors.js';
import { passphraseEncryptor } from '../src/openpgp/encryptor.js';
import { DeltaParser } from '../src/rsync/commands.js';
import type { ObjectWriter } from '../src/target/target.js';
import type { StoredVolume } from '../src/volume/frame.js';
import { type Member, parseMember } from '../src/volume/members.js';
import { decodeFrame, frameRange } from '../src/volume/reader.js';
import { padding, type TarEntry, tarHeader } from '../src/volume/tar.js';
import type { TarHeader } from '../src/volume/tar-header.js';
import { type MemberSink, transcode } from '../src/volume/transcoder.js';
import { VolumeWriter } from '../src/volume/writer.js';

const fixtures = join(import.meta.dirname, '../../test/fixtures');
const temporary = mkdtempSync(join(tmpdir(), 'tsdup-transcoder-'));
after(() => rmSync(temporary, { recursive: true, force: true }));

const encryptor = passphraseEncryptor('local cache');

class MemoryObject implements ObjectWriter {
	readonly chunks: Buffer[] = [];

	async write(chunk: Buffer): Promise<void> {
		this.chunks.push(chunk);
	}

	async commit(): Promise<void> {}

	async abort(): Promise<void> {}
}

async function* inChunks(bytes: Buffer, length = 65536): AsyncGenerator<Buffer, void> {
	for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

/** Transcodes into a local encrypted volume. @returns its tar, read back frame by frame */
async function transcoded(tar: Buffer, sink: MemberSink): Promise<Buffer> {
	const object = new MemoryObject();
	const writer = new VolumeWriter(object, 'copy', encryptor, { compressLevel: 1 });
	await transcode(inChunks(tar), 'a volume', writer, sink);
	return readBack(await writer.finish(), Buffer.concat(object.chunks));
}

async function readBack(volume: StoredVolume, object: Buffer): Promise<Buffer> {
	const frames = volume.frames.map((_, i) => {
		const { offset, length } = frameRange(volume, i);
		return decodeFrame(volume, i, object.subarray(offset, offset + length));
	});
	return Buffer.concat(await Promise.all(frames));
}

/** A part of a file's new content: bytes of some volume's tar, or of the file before. */
type Part = { from: 'tar' | 'old'; volume: number; offset: number; length: number };

interface Delta {
	readonly parser: DeltaParser;
	readonly parts: Part[];
	/** Bytes of the delta in earlier pieces, and what places the present piece. */
	earlier: number;
	volume: number;
	body: number;
	size: number;
}

/** The state of a collection, built from what the transcoder tells of one set after the other. */
class Collection implements MemberSink {
	readonly entries = new Map<string, { member: Member; content: Buffer }>();
	readonly #tars: Buffer[] = [];
	#changes: { member: Member; parts: Part[] }[] = [];
	#deltas = new Map<string, Delta>();

	async addVolume(tar: Buffer): Promise<void> {
		const copy = await transcoded(tar, this);
		assert.ok(copy.equals(tar), 'the copy holds the same tar');
		this.#tars.push(copy);
	}

	member(member: Member, offset: number): DeltaParser | null {
		const volume = this.#tars.length;
		const key = member.path.toString('latin1');
		if (member.kind === 'diff') return this.#continueDelta(key, member, volume, offset);
		const part: Part = { from: 'tar', volume, offset, length: member.size };
		const last = this.#changes.at(-1);
		if (member.piece !== null && member.piece > 1) {
			assert.ok(last, 'a first piece comes first');
			assert.ok(last.member.path.equals(member.path), 'pieces follow each other');
			last.parts.push(part);
		} else {
			this.#changes.push({ member, parts: [part] });
		}
		return null;
	}

	damaged(name: Buffer, error: DamageError): void {
		throw new Error(`${name} is damaged`, { cause: error });
	}

	#continueDelta(key: string, member: Member, volume: number, body: number): DeltaParser {
		const begun = this.#deltas.get(key);
		if (begun) {
			begun.earlier += begun.size;
			Object.assign(begun, { volume, body, size: member.size });
			return begun.parser;
		}
		const parts: Part[] = [];
		const delta: Delta = {
			parts,
			earlier: 0,
			volume,
			body,
			size: member.size,
			parser: new DeltaParser({
				literal(length, deltaOffset) {
					const offset = delta.body + deltaOffset - delta.earlier;
					parts.push({ from: 'tar', volume: delta.volume, offset, length });
				},
				copy: (offset, length) => parts.push({ from: 'old', volume: -1, offset, length }),
			}),
		};
		this.#deltas.set(key, delta);
		this.#changes.push({ member, parts });
		return delta.parser;
	}

	endSet(): void {
		for (const { parser } of this.#deltas.values()) parser.end();
		for (const { member, parts } of this.#changes) {
			const key = member.path.toString('latin1');
			const old = this.entries.get(key)?.content;
			const pieces = parts.map(({ from, volume, offset, length }) => {
				const bytes = from === 'tar' ? this.#tars[volume] : old;
				const piece = bytes?.subarray(offset, offset + length);
				assert.equal(piece?.length, length, 'nothing is copied from beyond the end');
				return piece as Buffer;
			});
			if (member.kind === 'deleted') this.entries.delete(key);
			else this.entries.set(key, { member, content: Buffer.concat(pieces) });
		}
		this.#changes = [];
		this.#deltas = new Map();
	}

	/** In the form of the fixtures' expectations. */
	tree(): Map<string, object> {
		const tree = new Map<string, object>();
		for (const { member, content } of this.entries.values()) {
			const { type, mode, mtime, link, devMajor, devMinor } = member.metadata;
			tree.set(member.path.toString('base64'), {
				type,
				...(type === 'symlink' ? { link_b64: link?.toString('base64') } : { mode: mode.toString(8), mtime }),
				...(type === 'file' ? { size: content.length, sha256: sha256(content) } : {}),
				...(type === 'chardev' || type === 'blockdev' ? { dev: [devMajor, devMinor] } : {}),
			});
		}
		return tree;
	}
}

function sha256(bytes: Buffer): string {
	return createHash('sha256').update(bytes).digest('hex');
}

function expectedTree(tree: string): Map<string, object> {
	const lines = readFileSync(join(fixtures, 'expected', `${tree}.jsonl`), 'utf8')
		.trim()
		.split('\n');
	return new Map(
		lines.map((line) => {
			const { path, path_b64, link, uid, gid, mode, ...rest } = JSON.parse(line);
			const path64 = path === '.' ? '' : path_b64;
			return [path64, mode === undefined ? rest : { ...rest, mode: Number.parseInt(mode, 8).toString(8) }];
		}),
	);
}

/** The volumes of a fixture that is not encrypted, set by set, in their order. */
function sets(name: string): Buffer[][] {
	execFileSync('tar', ['-C', temporary, '-xzf', join(fixtures, `${name}.tar.gz`)]);
	const found = new Map<string, Map<number, Buffer>>();
	for (const object of readdirSync(join(temporary, name))) {
		const [, time, number] = /(\d{8}T\d{6}Z)\.vol(\d+)\.difftar/.exec(object) ?? [];
		if (time === undefined) continue;
		const stored = readFileSync(join(temporary, name, object));
		const volumes = found.get(time) ?? new Map<number, Buffer>();
		volumes.set(Number(number), object.endsWith('.gz') ? gunzipSync(stored) : stored);
		found.set(time, volumes);
	}
	const byKey = <T>(map: Map<string | number, T>) =>
		[...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value);
	return byKey(found).map(byKey);
}

const collections: [name: string, tree: string, fulls: number[]][] = [
	['plain-08', 'std', [0]],
	['plain-30', 'std', [0]],
	['plain-31', 'std', [0]],
	['uncompressed-08', 'mini', [0]],
	['chains-08', 'mini', [0, 3]],
	['single-08', 'single', [0]],
	['multivol-08', 'patt', [0]],
];
for (const [name, tree, fulls] of collections) {
	test(`${name}: one pass over each volume tells every snapshot, and leaves a seekable copy of it`, async () => {
		let collection = new Collection();
		for (const [step, volumes] of sets(name).entries()) {
			if (fulls.includes(step)) collection = new Collection();
			for (const tar of volumes) await collection.addVolume(tar);
			collection.endSet();
			assert.deepEqual(collection.tree(), expectedTree(`${tree}-${step}`), `step ${step}`);
		}
	});
}

const entry: TarEntry = {
	name: Buffer.from('snapshot/file'),
	type: 'file',
	size: 0,
	mode: 0o644,
	uid: 1000,
	gid: 100,
	uname: 'someone',
	gname: 'users',
	mtime: 1700000000,
};

function archived(name: string, content: Buffer): Buffer {
	const header = tarHeader({ ...entry, name: Buffer.from(name), size: content.length });
	return Buffer.concat([header, content, padding(content.length)]);
}

/** What a sink was told, as text. */
class Log implements MemberSink {
	readonly lines: string[] = [];

	member({ kind, path, size }: Member, offset: number): DeltaParser | null {
		this.lines.push(`${kind} ${path} ${size} at ${offset}`);
		if (kind !== 'diff') return null;
		return new DeltaParser({
			literal: (length, at) => this.lines.push(`literal ${length} at ${at}`),
			copy: (at, length) => this.lines.push(`copy ${length} from ${at}`),
		});
	}

	damaged(name: Buffer, error: DamageError): void {
		this.lines.push(`damaged ${name}: ${error.message}`);
	}
}

test('a member that cannot be used does not cost the others', async () => {
	// A literal of one byte, then no command; a copy of 14 bytes from 0, a literal of two bytes, the end.
	const bad = Buffer.from('72730236 0161 ff 00'.replaceAll(' ', ''), 'hex');
	const good = Buffer.from('72730236 45000e 026162 00'.replaceAll(' ', ''), 'hex');
	const tar = Buffer.concat([
		archived('snapshot/a', Buffer.from('a')),
		archived('snapshot/../etc/passwd', Buffer.from('b')),
		archived('diff/bad', bad),
		archived('nothing/known', Buffer.from('c')),
		archived('diff/good', good),
		archived('snapshot/z', Buffer.from('z')),
	]);
	const log = new Log();
	assert.ok((await transcoded(tar, log)).equals(tar));
	assert.deepEqual(log.lines, [
		'snapshot a 1 at 512',
		'damaged snapshot/../etc/passwd: A stored entry named "snapshot/../etc/passwd" is no path below the source',
		'diff bad 8 at 2560',
		'literal 1 at 5',
		'damaged diff/bad: A stored delta is damaged at its byte 6: 0xff is no command',
		'damaged nothing/known: A stored entry named "nothing/known" begins with no kind of entry',
		'diff good 11 at 4608',
		'copy 14 from 0',
		'literal 2 at 8',
		'snapshot z 1 at 5632',
	]);
});

test('what fails besides the members reaches the caller', async () => {
	const tar = archived('diff/file', Buffer.from('7273023640', 'hex'));
	const writer = () => new VolumeWriter(new MemoryObject(), 'copy', null);
	async function* failing(error: Error): AsyncGenerator<Buffer, void> {
		yield tar.subarray(0, 515);
		throw error;
	}
	for (const error of [new DamageError('the digest is wrong'), new TargetError('the network is down')]) {
		const log = new Log();
		await assert.rejects(transcode(failing(error), 'a volume', writer(), log), error);
		assert.deepEqual(log.lines, ['diff file 5 at 512']);
	}
	const cut = inChunks(tar.subarray(0, 515));
	await assert.rejects(transcode(cut, 'a volume', writer(), new Log()), /a volume is damaged .* cut off/);
	const full = writer();
	await full.abort();
	await assert.rejects(transcode(inChunks(tar), 'a volume', full, new Log()), /aborted/);
});

const header: TarHeader = {
	...entry,
	uname: Buffer.from('someone'),
	gname: Buffer.from('users'),
	linkname: null,
	devMajor: 0,
	devMinor: 0,
};

function member(name: string, fields: Partial<TarHeader> = {}): Member {
	return parseMember({ ...header, name: Buffer.from(name, 'latin1'), ...fields });
}

test('kind, path and piece are told from the name, in every spelling', () => {
	const names: Record<string, [Member['kind'], string, number | null]> = {
		snapshot: ['snapshot', '', null],
		'snapshot/': ['snapshot', '', null],
		'snapshot/.': ['snapshot', '', null],
		'snapshot/./': ['snapshot', '', null],
		'snapshot/dir/': ['snapshot', 'dir', null],
		'snapshot/a/b': ['snapshot', 'a/b', null],
		'snapshot/multivol_diff/1': ['snapshot', 'multivol_diff/1', null],
		'snapshot/...': ['snapshot', '...', null],
		'snapshot/.a/..b/c.': ['snapshot', '.a/..b/c.', null],
		'snapshot/ a\n\\\xe4': ['snapshot', ' a\n\\\xe4', null],
		'diff/': ['diff', '', null],
		'diff/a': ['diff', 'a', null],
		'signature/': ['signature', '', null],
		'signature/a': ['signature', 'a', null],
		'deleted/a/b': ['deleted', 'a/b', null],
		'deleted/': ['deleted', '', null],
		'multivol_snapshot/./1': ['snapshot', '', 1],
		'multivol_snapshot/1': ['snapshot', '', 1],
		'multivol_snapshot/1/12': ['snapshot', '1', 12],
		'multivol_diff/a/b/3': ['diff', 'a/b', 3],
		'multivol_diff/multivol_diff/1': ['diff', 'multivol_diff', 1],
	};
	for (const [name, expected] of Object.entries(names)) {
		const { kind, path, piece } = member(name);
		assert.deepEqual([kind, path.toString('latin1'), piece], expected, name);
	}
});

test('names and types that duplicity cannot have written are refused', () => {
	const names = [
		...[
			'',
			'/',
			'/etc/passwd',
			'file',
			'snapshots/a',
			'Snapshot/a',
			'./snapshot/a',
			'multivol_signature/a/1',
		],
		...['snapshot/..', 'snapshot/../a', 'snapshot/a/..', 'snapshot/a/../b', 'snapshot/a/./b', 'snapshot/./a'],
		...['snapshot//a', 'snapshot/a//b', 'snapshot/a\0b', 'deleted/../a', 'multivol_diff/../1'],
		...['multivol_diff', 'multivol_diff/a', 'multivol_diff/a/0', 'multivol_diff/a/-1', 'multivol_diff/a/01'],
		...['multivol_snapshot/a/1e3', 'multivol_snapshot/a/', `multivol_snapshot/a/${'9'.repeat(16)}`],
	];
	for (const name of names) assert.throws(() => member(name), DamageError, name);
	assert.throws(() => member('snapshot/a', { type: 'link', linkname: Buffer.from('b') }), DamageError);
	assert.throws(() => member('snapshot/a', { type: 'other' }), DamageError);
	assert.throws(() => member('snapshot/a', { type: 'symlink', linkname: Buffer.alloc(0) }), DamageError);
	assert.throws(() => member('snapshot/a', { type: 'symlink', linkname: Buffer.from('a\0b') }), DamageError);
	for (const name of ['diff/a', 'signature/a', 'multivol_snapshot/a/1', 'multivol_diff/a/1']) {
		assert.throws(() => member(name, { type: 'dir' }), DamageError, name);
	}
});

/**
 * The segment: what one set adds to the index, as lines of JSON (see docs/format.md), kept beside the set on the
 * target. `SegmentLine` is one line; writing and reading them is all that happens here.
 */
import { isUtf8 } from 'node:buffer';
import { DamageError } from '../errors.js';
import { FRAME_LENGTH, type StoredVolume } from '../volume/frame.js';
import { decodeXattrs, encodeXattrs, type Xattr } from '../volume/xattrs.js';
import type { Metadata, SignatureRef } from './entry.js';
import type { Extent } from './extents.js';

export const SEGMENT_VERSION = 1;

export type SegmentLine =
	| { kind: 'set'; set: { kind: 'full' | 'inc'; time: number; start: number | null; chain: number } }
	| {
			kind: 'entry';
			path: Buffer;
			metadata: Metadata;
			extents: Extent[];
			/** Instead of extents, where those of the version before are not known to the writer: where the delta lies. */
			delta: Extent[] | null;
			signature: SignatureRef | null;
	  }
	| { kind: 'deleted'; path: Buffer }
	| { kind: 'volume'; id: number; volume: StoredVolume }
	/** The last line: without it the segment is cut off. */
	| { kind: 'end'; entries: number };

/** Names are bytes: shown as text when they are UTF-8, else in base64. */
type Bytes = string | { b64: string };

export function formatLine(line: SegmentLine): Buffer {
	return Buffer.from(`${JSON.stringify(toJson(line))}\n`);
}

function toJson(line: SegmentLine): object {
	switch (line.kind) {
		case 'set':
			return { segment: SEGMENT_VERSION, ...line.set };
		case 'deleted':
			return { deleted: toText(line.path) };
		case 'end':
			return { end: line.entries };
		case 'volume': {
			const { key, frames, ...rest } = line.volume;
			return {
				volume: line.id,
				...rest,
				key: key ? key.toString('base64') : null,
				frames: frames.map((f) => [
					f.tarOffset,
					f.tarLength,
					f.offset,
					f.length,
					f.digest.toString('base64'),
				]),
			};
		}
		case 'entry': {
			const m = line.metadata;
			return {
				path: toText(line.path),
				type: m.type,
				mode: m.mode,
				uid: m.uid,
				gid: m.gid,
				uname: toText(m.uname),
				gname: toText(m.gname),
				mtime: m.mtime,
				...(m.mtimeNs === null ? {} : { ns: m.mtimeNs }),
				...(m.type === 'file' ? { size: m.size } : {}),
				...(m.link ? { link: toText(m.link) } : {}),
				...(m.devMajor || m.devMinor ? { dev: [m.devMajor, m.devMinor] } : {}),
				...(m.xattrs ? { xattrs: decodeXattrs(m.xattrs).map(xattrToJson) } : {}),
				...(m.hardLink === null ? {} : { hardLink: m.hardLink }),
				...(m.allocated === null ? {} : { allocated: m.allocated }),
				...(line.extents.length ? { extents: numbers(line.extents) } : {}),
				...(line.delta ? { delta: numbers(line.delta) } : {}),
				...(line.signature
					? { sig: [line.signature.volume, line.signature.offset, line.signature.length] }
					: {}),
			};
		}
	}
}

/** @throws DamageError when the line is not one of a segment of this version */
export function parseLine(text: string): SegmentLine {
	try {
		return fromJson(JSON.parse(text));
	} catch (error) {
		if (error instanceof DamageError) throw error;
		throw new DamageError(`An index segment holds a line that cannot be read.`, { cause: error });
	}
}

// biome-ignore lint/suspicious/noExplicitAny: parsed JSON; every field is checked or converted below
function fromJson(json: any): SegmentLine {
	if (json.path !== undefined) {
		const link = json.link === undefined ? null : fromText(json.link);
		return {
			kind: 'entry',
			path: fromText(json.path),
			metadata: {
				type: entryType(json.type),
				mode: natural(json.mode, 0o7777),
				uid: natural(json.uid, MOST_32_BITS),
				gid: natural(json.gid, MOST_32_BITS),
				uname: fromText(json.uname),
				gname: fromText(json.gname),
				mtime: integer(json.mtime),
				mtimeNs: json.ns === undefined ? null : integer(json.ns),
				size: link ? link.length : json.size === undefined ? 0 : natural(json.size),
				link,
				devMajor: json.dev ? natural(json.dev[0], MOST_32_BITS) : 0,
				devMinor: json.dev ? natural(json.dev[1], MOST_32_BITS) : 0,
				xattrs: json.xattrs === undefined ? null : encodeXattrs(json.xattrs.map(xattrFromJson)),
				hardLink: json.hardLink === undefined ? null : natural(json.hardLink),
				allocated: json.allocated === undefined ? null : natural(json.allocated),
			},
			extents: extents(json.extents ?? []),
			delta: json.delta ? extents(json.delta) : null,
			signature: json.sig
				? { volume: natural(json.sig[0]), offset: natural(json.sig[1]), length: natural(json.sig[2]) }
				: null,
		};
	}
	if (json.deleted !== undefined) return { kind: 'deleted', path: fromText(json.deleted) };
	if (json.volume !== undefined) {
		return {
			kind: 'volume',
			id: integer(json.volume),
			volume: {
				name: String(json.name),
				size: natural(json.size),
				sha1: String(json.sha1),
				key: json.key === null ? null : Buffer.from(String(json.key), 'base64'),
				body: natural(json.body),
				tarLength: natural(json.tarLength),
				frames: json.frames.map(([tarOffset, tarLength, offset, length, digest]: unknown[]) => ({
					tarOffset: natural(tarOffset),
					tarLength: natural(tarLength, FRAME_LENGTH),
					offset: natural(offset),
					// What does not compress grows by far less.
					length: natural(length, 2 * FRAME_LENGTH),
					digest: Buffer.from(String(digest), 'base64'),
				})),
			},
		};
	}
	if (json.end !== undefined) return { kind: 'end', entries: integer(json.end) };
	if (json.segment !== undefined) {
		if (json.segment !== SEGMENT_VERSION) {
			throw new DamageError(
				`An index segment has version ${json.segment}, this tsdup reads version ${SEGMENT_VERSION}.`,
			);
		}
		return {
			kind: 'set',
			set: {
				kind: json.kind === 'full' ? 'full' : 'inc',
				time: integer(json.time),
				start: json.start === null ? null : integer(json.start),
				chain: integer(json.chain),
			},
		};
	}
	throw new Error('unknown line');
}

function toText(bytes: Buffer): Bytes {
	return isUtf8(bytes) ? bytes.toString('utf8') : { b64: bytes.toString('base64') };
}

function fromText(value: Bytes): Buffer {
	if (typeof value === 'string') return Buffer.from(value, 'utf8');
	return Buffer.from(String(value.b64), 'base64');
}

function xattrToJson({ name, value }: Xattr): [Bytes, string] {
	return [toText(name), value.toString('base64')];
}

function xattrFromJson([name, value]: [Bytes, unknown]): Xattr {
	return { name: fromText(name), value: Buffer.from(String(value), 'base64') };
}

function integer(value: unknown): number {
	if (!Number.isSafeInteger(value)) throw new Error('not an integer');
	return value as number;
}

const MOST_32_BITS = 2 ** 32 - 1;

/** From 0 to `most`. */
function natural(value: unknown, most = Number.MAX_SAFE_INTEGER): number {
	const number = integer(value);
	if (number < 0 || number > most) throw new Error('out of range');
	return number;
}

function entryType(value: unknown): Metadata['type'] {
	switch (value) {
		case 'file':
		case 'dir':
		case 'symlink':
		case 'fifo':
		case 'chardev':
		case 'blockdev':
			return value;
	}
	throw new Error('unknown type');
}

function numbers(extents: readonly Extent[]): number[] {
	return extents.flatMap((e) => [e.length, e.volume, e.offset]);
}

function extents(flat: unknown[]): Extent[] {
	if (flat.length % 3 !== 0) throw new Error('extents not in threes');
	const result: Extent[] = [];
	for (let i = 0; i < flat.length; i += 3) {
		result.push({ length: natural(flat[i]), volume: natural(flat[i + 1]), offset: natural(flat[i + 2]) });
	}
	return result;
}

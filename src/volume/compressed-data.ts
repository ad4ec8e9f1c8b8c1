/**
 * From the bytes of an object to the compressed data in it, minding where each byte lay: for the one form that gpg gives to nearly
 * all volumes of duplicity's, SEIPD( ZIP or ZLIB( … )) under AES.
 */
import { DamageError, UnsupportedError } from '../errors.js';
import { ByteReader, truncated } from '../openpgp/bytes.js';
import { ZIP, ZLIB } from '../openpgp/decompress.js';
import { decryptBody, PREFIX, VERSION_LENGTH } from '../openpgp/decrypt.js';
import { readHeader, SEIPD } from '../openpgp/message.js';
import type { Opener } from '../openpgp/opener.js';
import { type BodyStart, PartialLengths } from '../openpgp/partial-lengths.js';
import { isAes } from '../openpgp/session-key.js';
import { ChunkMap } from './chunk-map.js';
import { RecentBytes } from './recent-bytes.js';

/** Compressed data packet: old format, indeterminate length. The algorithm follows. */
const COMPRESSED = 0xa3;
const COMPRESSED_HEADER = 2;

/** Cipher block of AES, bytes. */
const BLOCK = 16;

export interface CompressedData {
	/** Session key. */
	readonly key: Buffer;
	/** ZIP or ZLIB. */
	readonly algorithm: number;
	/** Authentic only when it has ended without an error. A piece's memory is used again when the next but one is asked for. */
	readonly bytes: AsyncIterable<Buffer>;
	/** Where compressed bytes that have come lie in the object; `from` is never less than in the call before. */
	place(from: number, to: number): Place;
}

/** The bytes of an object that compressed bytes are decrypted from. */
export interface Place {
	readonly offset: number;
	readonly length: number;
	/** SHA-256 of them. */
	readonly digest: Promise<Buffer>;
	/** Bytes that the packet's chunk has left at `offset`. */
	readonly outerLeft: number;
	/** Decrypted bytes before the first compressed one. */
	readonly cfbSkip: number;
}

/** @throws UnsupportedError for other forms; DamageError, KeyError; what `stored` throws */
export async function compressedData(
	stored: AsyncIterable<Buffer>,
	opener: Pick<Opener, 'sessionKey'>,
): Promise<CompressedData> {
	const reader = new ByteReader(stored);
	const { header, tag, lengths } = await readHeader(reader);
	if (tag !== SEIPD || lengths === null) throw otherForm();
	const sessionKey = await opener.sessionKey(header);
	if (!isAes(sessionKey.algorithm)) throw otherForm();
	const map = new ChunkMap();
	const recent = new RecentBytes();
	const body = bodyOf(reader, lengths, map, recent);
	const plain = new ByteReader(decryptBody(body, sessionKey, { reuse: true }));
	const [octet, algorithm] = await plain.exactly(COMPRESSED_HEADER);
	if (octet !== COMPRESSED || (algorithm !== ZIP && algorithm !== ZLIB)) throw otherForm();
	return {
		key: sessionKey.key,
		algorithm,
		bytes: plain.rest(),
		place: (from, to) => {
			const place = placeOf(map, from, to);
			return { ...place, digest: recent.digest(place.offset, place.length) };
		},
	};
}

/** @param lengths the packet's first length octets */
async function* bodyOf(
	reader: ByteReader,
	lengths: Buffer,
	map: ChunkMap,
	recent: RecentBytes,
): AsyncGenerator<Buffer, void> {
	const stripper = new PartialLengths();
	stripper.push(lengths);
	let room: Buffer = Buffer.alloc(0);
	for (let piece = await reader.some(Infinity); piece !== null; piece = await reader.some(Infinity)) {
		const start = reader.position - piece.length;
		recent.add(start, piece);
		// Whoever decrypts it has copied the piece before.
		if (room.length < piece.length) room = Buffer.allocUnsafeSlow(piece.length);
		const run = ({ skip, left }: BodyStart, length: number) => map.add(start + skip, left, length);
		const body = stripper.push(piece, run, room);
		if (body.length > 0) yield body;
	}
	if (!stripper.ended) throw truncated();
	if (stripper.loose > 0) throw new DamageError('there are loose bytes after the OpenPGP message');
}

/** CFB decrypts from any block on, with the block before. */
function placeOf(map: ChunkMap, from: number, to: number): Omit<Place, 'digest'> {
	const plain = PREFIX + COMPRESSED_HEADER;
	const block = Math.floor((plain + from) / BLOCK) - 1;
	const first = map.locate(VERSION_LENGTH + block * BLOCK);
	const last = map.locate(VERSION_LENGTH + plain + to - 1);
	return {
		offset: first.offset,
		length: last.offset + 1 - first.offset,
		outerLeft: first.left,
		cfbSkip: (plain + from) % BLOCK,
	};
}

export function otherForm(): UnsupportedError {
	return new UnsupportedError('the message has another form');
}

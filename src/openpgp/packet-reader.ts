/**
 * Reads a sequence of OpenPGP packets (RFC 9580 4.2), old and new format, as a stream. The body of a packet must be read to
 * its end before the next packet is asked for.
 */
import { DamageError } from '../errors.js';
import { type ByteReader, truncated } from './bytes.js';
import { PartialLengths } from './partial-lengths.js';

export interface Packet {
	readonly tag: number;
	/** Tag and length octets as they stood in the stream. */
	readonly header: Buffer;
	/** The length octets, if they are of the new format. */
	readonly lengths: Buffer | null;
	/** @throws DamageError when the stream ends before the packet does */
	readonly body: AsyncIterable<Buffer>;
}

/** Bytes up to the next length or, when `more` is null, up to the end of the stream; `more` says that a length follows. */
interface Length {
	readonly bytes: number;
	readonly more: boolean | null;
}

/** Compressed, literal and encrypted data: only these may come in pieces or without a length. */
const dataTags: ReadonlySet<number> = new Set([8, 9, 11, 18, 20]);

/** The next packet, or null at the end. @throws DamageError when what follows is no packet */
export async function nextPacket(reader: ByteReader): Promise<Packet | null> {
	const first = await reader.some(1);
	if (first === null) return null;
	const octet = first.readUInt8(0);
	if ((octet & 0x80) === 0) throw new DamageError(`not an OpenPGP packet: it begins with octet ${octet}`);
	const isNew = (octet & 0x40) !== 0;
	const tag = isNew ? octet & 0x3f : (octet >> 2) & 0x0f;
	const raw: Buffer[] = [first];
	const length = isNew ? await newLength(reader, raw) : await oldLength(reader, octet & 3, raw);
	if (length.more !== false && !dataTags.has(tag)) {
		throw new DamageError(`OpenPGP packet of type ${tag} without a definite length`);
	}
	const header = Buffer.concat(raw);
	const octets = header.subarray(1);
	return { tag, header, lengths: isNew ? octets : null, body: readBody(reader, length, octets) };
}

async function newLength(reader: ByteReader, raw: Buffer[] = []): Promise<Length> {
	const first = await reader.exactly(1);
	raw.push(first);
	const octet = first.readUInt8(0);
	if (octet < 192) return { bytes: octet, more: false };
	if (octet >= 224 && octet < 255) return { bytes: 2 ** (octet & 31), more: true };
	const rest = await reader.exactly(octet === 255 ? 4 : 1);
	raw.push(rest);
	const bytes = octet === 255 ? rest.readUInt32BE(0) : ((octet - 192) << 8) + rest.readUInt8(0) + 192;
	return { bytes, more: false };
}

async function oldLength(reader: ByteReader, type: number, raw: Buffer[]): Promise<Length> {
	if (type === 3) return { bytes: 0, more: null };
	const octets = await reader.exactly(1 << type);
	raw.push(octets);
	return { bytes: octets.readUIntBE(0, octets.length), more: false };
}

/** Pieces are at most this many bytes, so that one large chunk of the source is not worked on in one go. */
const PIECE = 1 << 20;

async function* readBody(
	reader: ByteReader,
	{ bytes, more }: Length,
	octets: Buffer,
): AsyncGenerator<Buffer, void, void> {
	if (more === null) {
		for (let piece = await reader.some(PIECE); piece !== null; piece = await reader.some(PIECE)) yield piece;
		return;
	}
	if (more) {
		yield* joined(reader, octets);
		return;
	}
	for (let missing = bytes; missing > 0; ) {
		const piece = await reader.some(Math.min(missing, PIECE));
		if (piece === null) throw truncated();
		missing -= piece.length;
		yield piece;
	}
}

/** A body in many chunks: gpg's have 8 KiB, and each piece costs its readers as much as a large one. */
async function* joined(reader: ByteReader, octets: Buffer): AsyncGenerator<Buffer, void, void> {
	const lengths = new PartialLengths();
	lengths.push(octets);
	while (!lengths.ended) {
		const piece = await reader.some(PIECE);
		if (piece === null) throw truncated();
		const body = lengths.push(piece);
		if (lengths.loose > 0) reader.unread(piece.subarray(piece.length - lengths.loose));
		if (body.length > 0) yield body;
	}
}

/** The whole body of a small packet. @throws DamageError when it is longer than `limit` bytes */
export async function wholeBody(packet: Packet, limit: number): Promise<Buffer> {
	const pieces: Buffer[] = [];
	let size = 0;
	for await (const piece of packet.body) {
		size += piece.length;
		if (size > limit) throw new DamageError(`OpenPGP packet of type ${packet.tag} is too long`);
		pieces.push(piece);
	}
	return Buffer.concat(pieces);
}

export async function skip(packet: Packet): Promise<void> {
	for await (const _ of packet.body);
}

/** Marker, padding and private packets: they say nothing to anyone but their writer. */
export function isFiller(tag: number): boolean {
	return tag === 10 || tag === 21 || tag >= 60;
}

export function unexpected(packet: Packet, where: string): DamageError {
	return new DamageError(`unexpected OpenPGP packet of type ${packet.tag} ${where}`);
}

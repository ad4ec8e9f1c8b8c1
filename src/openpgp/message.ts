/**
 * Reads one whole OpenPGP message as a stream: [PKESK | SKESK …] SEIPDv1( [compressed] ( [one-pass signature] literal
 * [signature] ) ), the form of every encrypted object of duplicity's and ours. Signatures are skipped, not checked.
 * Expects anything: memory stays bounded and every input ends in content or an error.
 */
import { DamageError, TsdupError } from '../errors.js';
import { ByteReader } from './bytes.js';
import { decompress } from './decompress.js';
import { decryptBody } from './decrypt.js';
import { isFiller, nextPacket, type Packet, skip, wholeBody } from './packet-reader.js';
import type { SessionKey } from './session-key.js';

const PKESK = 1;
const SIGNATURE = 2;
const SKESK = 3;
const ONE_PASS_SIGNATURE = 4;
const COMPRESSED = 8;
const LITERAL = 11;
const SEIPD = 18;

/** All packets before the encrypted data together; one for an RSA key of 4096 bits takes 527 bytes. */
const MAX_HEADER = 64 << 10;
/** gpg writes one compressed packet and nothing inside it that is compressed again. */
const MAX_NESTING = 4;

/**
 * The content of the message. **Chunks are not authenticated until the iteration has ended without an error**: a caller
 * must not let them out, or must be able to take them back, before that.
 * @param sessionKeyFor gets the PKESK and SKESK packets, raw
 * @throws KeyError when the session key does not fit; DamageError when the message is cut off, altered or no message at
 * all; TsdupError for kinds of messages that are not supported yet; and what `chunks` and `sessionKeyFor` throw
 */
export async function* readMessage(
	chunks: AsyncIterable<Buffer>,
	sessionKeyFor: (header: Buffer) => Promise<SessionKey>,
): AsyncGenerator<Buffer, void, void> {
	const reader = new ByteReader(chunks);
	try {
		const { header, encrypted } = await readHeader(reader);
		yield* contents(
			decryptBody(encrypted.body, () => sessionKeyFor(header)),
			0,
		);
		for (let packet = await nextPacket(reader); packet !== null; packet = await nextPacket(reader)) {
			if (!isFiller(packet.tag)) throw unexpected(packet, 'after the OpenPGP message');
			await skip(packet);
		}
	} finally {
		await reader.close();
	}
}

async function readHeader(reader: ByteReader): Promise<{ header: Buffer; encrypted: Packet }> {
	const header: Buffer[] = [];
	let size = 0;
	for (let packet = await nextPacket(reader); packet !== null; packet = await nextPacket(reader)) {
		if (packet.tag === SEIPD) return { header: Buffer.concat(header), encrypted: packet };
		if (packet.tag === PKESK || packet.tag === SKESK) {
			const raw = Buffer.concat([packet.header, await wholeBody(packet, MAX_HEADER)]);
			size += raw.length;
			if (size > MAX_HEADER) throw new DamageError('the OpenPGP message has too many recipients');
			header.push(raw);
		} else if (isFiller(packet.tag)) await skip(packet);
		else if (packet.tag === 9)
			throw new TsdupError('encrypted data without a checksum (tag 9) is not supported yet');
		else if (packet.tag === 20) throw new TsdupError('AEAD encrypted data (tag 20) is not supported yet');
		else throw unexpected(packet, 'before the encrypted data');
	}
	throw new DamageError('the OpenPGP message is cut off: it ends before its encrypted data');
}

/** What the one literal packet in `packets` holds, however it is wrapped. Ends only when `packets` has ended. */
async function* contents(
	packets: AsyncIterable<Buffer>,
	nesting: number,
): AsyncGenerator<Buffer, void, void> {
	if (nesting > MAX_NESTING) throw new DamageError('the OpenPGP message is compressed too many times over');
	const reader = new ByteReader(packets);
	let found = false;
	try {
		for (let packet = await nextPacket(reader); packet !== null; packet = await nextPacket(reader)) {
			const { tag } = packet;
			if (isFiller(tag) || tag === SIGNATURE || tag === ONE_PASS_SIGNATURE) {
				await skip(packet);
				continue;
			}
			if (found || (tag !== LITERAL && tag !== COMPRESSED)) throw unexpected(packet, 'inside the message');
			found = true;
			yield* tag === LITERAL ? literal(packet.body) : contents(decompress(packet.body), nesting + 1);
		}
	} finally {
		await reader.close();
	}
	if (!found) throw new DamageError('the OpenPGP message holds no data');
}

/** Body of a literal packet: format octet, length octet and file name, date of 4 octets, content. */
async function* literal(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
	const reader = new ByteReader(body);
	try {
		const nameLength = (await reader.exactly(2)).readUInt8(1);
		await reader.exactly(nameLength + 4);
		for (let piece = await reader.some(Infinity); piece !== null; piece = await reader.some(Infinity))
			yield piece;
	} finally {
		await reader.close();
	}
}

function unexpected(packet: Packet, where: string): DamageError {
	return new DamageError(`unexpected OpenPGP packet of type ${packet.tag} ${where}`);
}

/**
 * What stands inside the encryption: [compressed] ( [one-pass signature] literal [signature] ). Signatures are skipped, not
 * checked. Used by src/openpgp/message.ts; memory stays bounded whatever the packets say.
 */
import { DamageError, UnsupportedError } from '../errors.js';
import { ByteReader } from './bytes.js';
import { BZIP2, decompress } from './decompress.js';
import type { Gpg } from './gpg.js';
import { isFiller, nextPacket, skip, unexpected } from './packet-reader.js';

const SIGNATURE = 2;
const ONE_PASS_SIGNATURE = 4;
const COMPRESSED = 8;
const LITERAL = 11;

/** gpg writes one compressed packet and nothing inside it that is compressed again. */
const MAX_NESTING = 4;

/**
 * What the one literal packet in `packets` holds, however it is wrapped. Ends only when `packets` has ended.
 * @param gpg decompresses BZIP2
 * @throws DamageError, UnsupportedError
 */
export async function* contents(
	packets: AsyncIterable<Buffer>,
	gpg: Gpg | undefined,
	nesting = 0,
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
			yield* tag === LITERAL ? literal(packet.body) : compressed(packet.body, gpg, nesting);
		}
	} finally {
		await reader.close();
	}
	if (!found) throw new DamageError('the OpenPGP message holds no data');
}

/** Body of a compressed packet: octet of the algorithm, packets. */
async function* compressed(
	body: AsyncIterable<Buffer>,
	gpg: Gpg | undefined,
	nesting: number,
): AsyncGenerator<Buffer, void, void> {
	const reader = new ByteReader(body);
	try {
		const algorithm = (await reader.exactly(1)).readUInt8(0);
		if (algorithm !== BZIP2) {
			yield* contents(decompress(algorithm, reader.rest()), gpg, nesting + 1);
			return;
		}
		if (gpg === undefined) throw new UnsupportedError('compressed with BZIP2, which needs GnuPG');
		yield* gpg.content(bzip2Packet(reader));
	} finally {
		await reader.close();
	}
}

/** The packet in the old format, which may go without a length. */
async function* bzip2Packet(reader: ByteReader): AsyncGenerator<Buffer, void, void> {
	yield Buffer.from([0x80 | (COMPRESSED << 2) | 3, BZIP2]);
	yield* reader.rest();
}

/** Body of a literal packet: format octet, length octet and file name, date of 4 octets, content. */
async function* literal(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
	const reader = new ByteReader(body);
	try {
		const nameLength = (await reader.exactly(2)).readUInt8(1);
		await reader.exactly(nameLength + 4);
		yield* reader.rest();
	} finally {
		await reader.close();
	}
}

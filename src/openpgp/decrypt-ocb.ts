/**
 * The body of an AEAD encrypted packet (tag 20) in OCB mode, as gpg 2.3 and later write it to keys that ask for it: version
 * 1 | cipher | mode | chunk size | nonce, then chunks of ciphertext with a tag behind each, then one tag over their number
 * and size (RFC 4880bis, draft 10, 5.16). Streams, since the chunks of gpg 2.3.0 had 128 MiB: bytes that it yields are
 * authenticated only when it has ended without an error.
 */
import { DamageError } from '../errors.js';
import { ByteReader, truncated } from './bytes.js';
import { closeOcb, OCB_NONCE, OCB_TAG, openOcb } from './ocb.js';
import type { SessionKey } from './session-key.js';

const HEADER = 4;
const PIECE = 64 << 10;

/** @throws DamageError when the body was altered or cut off, or the session key does not fit */
export async function* decryptOcb(
	body: AsyncIterable<Buffer>,
	sessionKey: SessionKey,
): AsyncGenerator<Buffer, void, void> {
	const reader = new ByteReader(body);
	try {
		const header = await reader.exactly(HEADER);
		if (header.readUInt8(0) !== 1 || header.readUInt8(1) !== sessionKey.algorithm) throw altered();
		const chunkBytes = 2 ** (header.readUInt8(3) + 6);
		const nonce = await reader.exactly(OCB_NONCE);

		for (let index = 0, total = 0; ; index++) {
			const chunk = openOcb(sessionKey, chunkNonce(nonce, index), associated(header, index));
			let size = 0;
			for (;;) {
				// Where the data ends shows only at the end of the body: the last two tags stay behind.
				const ahead = await reader.upTo(Math.min(chunkBytes - size, PIECE) + 2 * OCB_TAG);
				const data = ahead.subarray(0, Math.max(0, ahead.length - 2 * OCB_TAG));
				reader.unread(ahead.subarray(data.length));
				if (data.length === 0) break;
				size += data.length;
				yield chunk.update(data);
			}
			const tags = await reader.upTo(2 * OCB_TAG);
			if (size === 0 && tags.length === OCB_TAG) {
				const end = openOcb(sessionKey, chunkNonce(nonce, index), associated(header, index, total));
				if (closeOcb(end, tags) === null) throw altered();
				return;
			}
			if (tags.length < 2 * OCB_TAG) throw truncated();
			const last = closeOcb(chunk, tags.subarray(0, OCB_TAG));
			if (last === null) throw altered();
			yield last;
			total += size;
			reader.unread(tags.subarray(OCB_TAG));
		}
	} finally {
		await reader.close();
	}
}

/** The last eight octets of the nonce, changed by the chunk's number. */
function chunkNonce(nonce: Buffer, index: number): Buffer {
	const changed = Buffer.from(nonce);
	const at = OCB_NONCE - 8;
	changed.writeBigUInt64BE(nonce.readBigUInt64BE(at) ^ BigInt(index), at);
	return changed;
}

/** What the tag of a chunk covers besides it; `total` bytes of all chunks only for the last tag. */
function associated(header: Buffer, index: number, total?: number): Buffer {
	return Buffer.concat([
		Buffer.from([0xd4]),
		header,
		octets(index),
		...(total === undefined ? [] : [octets(total)]),
	]);
}

function octets(n: number): Buffer {
	const bytes = Buffer.alloc(8);
	bytes.writeBigUInt64BE(BigInt(n));
	return bytes;
}

function altered(): DamageError {
	return new DamageError('the encrypted data was altered or damaged: its checksum (OCB) is wrong');
}

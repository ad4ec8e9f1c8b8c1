/**
 * The body of a SEIPD version 1 packet (tag 18, RFC 9580 5.13.1), as a stream: version octet, then CFB of prefix, packets
 * and MDC. Bytes that it yields are authenticated only when it has ended without an error.
 */
import { Hash } from '../crypto/crypto.js';
import { DamageError, KeyError, UnsupportedError } from '../errors.js';
import { ByteReader } from './bytes.js';
import { cfbDecryptor, checkPrefix, type SessionKey } from './session-key.js';

/** Bytes of the random block and its repetition, in front of the packets. */
export const PREFIX = 18;
/** Of the octet in front of the ciphertext. */
export const VERSION_LENGTH = 1;
/** d3 14, then a SHA-1 over all plaintext including these two octets. */
const MDC = 22;
/** gpg's pieces have 8 KiB; each job of the thread pool takes some 50 µs besides its work. */
const PIECE = 1 << 20;

/** Pieces that are worked on at once: the reader's, the one that he is about to get, and the next. */
const ROOMS = 3;

export interface DecryptOptions {
	/** A piece's memory is used again when the next but one is asked for. */
	readonly reuse?: boolean;
}

/**
 * @throws KeyError when the session key does not fit, DamageError when the body was altered or cut off,
 * UnsupportedError for another version or a cipher that is not AES
 */
export async function* decryptBody(
	body: AsyncIterable<Buffer>,
	sessionKey: SessionKey,
	{ reuse = false }: DecryptOptions = {},
): AsyncGenerator<Buffer, void, void> {
	const reader = new ByteReader(body);
	try {
		const version = (await reader.exactly(VERSION_LENGTH)).readUInt8(0);
		if (version === 2)
			throw new UnsupportedError('encrypted data of version 2 (RFC 9580), which GnuPG never writes');
		if (version !== 1) throw new DamageError(`encrypted data of a version that does not exist: ${version}`);
		const aes = cfbDecryptor(sessionKey);
		// The source's memory is its own.
		const prefix = Buffer.alloc(PREFIX);
		await aes.decrypt(await reader.exactly(PREFIX), prefix);
		if (!checkPrefix(prefix)) {
			throw new KeyError('the passphrase or key does not open this message (or its first bytes are damaged)');
		}
		const hash = new Hash('sha1');
		// Goes on while the reader works on the same bytes, and the next ones are decrypted.
		let hashed = hash.update(prefix);
		let held: Buffer = Buffer.alloc(0);
		const rooms = Array.from({ length: reuse ? ROOMS : 0 }, () => Buffer.allocUnsafeSlow(MDC + PIECE));
		for (let turn = 0; ; turn++) {
			const room = rooms[turn % ROOMS];
			const piece = await reader.upTo(PIECE, room?.subarray(MDC));
			if (piece.length === 0) break;
			const plain =
				room?.subarray(MDC - held.length, MDC + piece.length) ??
				Buffer.allocUnsafeSlow(held.length + piece.length);
			held.copy(plain);
			await aes.decrypt(piece, plain.subarray(held.length));
			const end = Math.max(0, plain.length - MDC);
			held = plain.subarray(end);
			if (end === 0) continue;
			const content = plain.subarray(0, end);
			await hashed;
			hashed = hash.update(content);
			yield content;
		}
		await hashed;
		await hash.update(held.subarray(0, 2));
		const isSame = hash.digest().equals(held.subarray(2));
		if (held.length !== MDC || held.readUInt16BE(0) !== 0xd314 || !isSame) {
			throw new DamageError('the encrypted data was altered or damaged: its checksum (MDC) is wrong');
		}
	} finally {
		await reader.close();
	}
}

/**
 * Decrypts what this process does not: ciphers older than AES, data without MDC, EAX. GnuPG gets the encrypted packet as a
 * stream behind a passphrase packet made for it alone, which holds the session key: so it needs no key of its own, and no
 * key stands in arguments, files or its log.
 */
import { randomBytes } from 'node:crypto';
import { DamageError, KeyError } from '../errors.js';
import type { ByteReader } from './bytes.js';
import type { Gpg } from './gpg.js';
import { definiteLength, newTag, partialLength } from './packets.js';
import type { SessionKey } from './session-key.js';
import { newWrapping, writeSkesk } from './skesk.js';

export interface Encrypted {
	readonly tag: number;
	readonly body: ByteReader;
	readonly authenticated: boolean;
	/** Whether the session key was encrypted to a key, where a wrong one shows at once. */
	readonly toKeys: boolean;
}

/** Smallest coded S2K count: a passphrase of 32 random bytes needs no stretching. */
const NO_STRETCHING = 0;

/** The literal content. @throws KeyError when the passphrase was wrong, as far as one can tell; DamageError; UnsupportedError */
export async function* decryptWithGpg(
	gpg: Gpg,
	{ tag, body, authenticated, toKeys }: Encrypted,
	sessionKey: SessionKey,
): AsyncGenerator<Buffer, void, void> {
	const { passphrase, message } = await forGpg({ tag, body }, sessionKey);
	const encryption = { passphrase, cipher: sessionKey.algorithm, authenticated };
	let begun = false;
	try {
		for await (const piece of gpg.content(message, encryption)) {
			begun = true;
			yield piece;
		}
	} catch (error) {
		if (begun || toKeys || !(error instanceof DamageError)) throw error;
		throw new KeyError('the passphrase does not open this message (or its first bytes are damaged)', {
			cause: error,
		});
	}
}

/** A message that gpg opens with a passphrase made for this one time. */
export async function forGpg(
	{ tag, body }: Pick<Encrypted, 'tag' | 'body'>,
	sessionKey: SessionKey,
): Promise<{ passphrase: string; message: AsyncIterable<Buffer> }> {
	const passphrase = randomBytes(32).toString('hex');
	const skesk = writeSkesk(await newWrapping(passphrase, NO_STRETCHING), sessionKey);
	return { passphrase, message: packets(skesk, tag, body) };
}

const PIECE_POWER = 16;

async function* packets(skesk: Buffer, tag: number, body: ByteReader): AsyncGenerator<Buffer, void, void> {
	yield Buffer.concat([skesk, Buffer.from([newTag(tag)])]);
	const full = 1 << PIECE_POWER;
	for (;;) {
		const piece = await body.upTo(full);
		if (piece.length < full) {
			yield Buffer.concat([definiteLength(piece.length), piece]);
			return;
		}
		yield Buffer.concat([Buffer.from([partialLength(PIECE_POWER)]), piece]);
	}
}

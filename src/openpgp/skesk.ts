/**
 * The packet that lets a passphrase open a message (SKESK, tag 3). Version 4 (RFC 9580 5.3.1), which we write:
 * version 4 | cipher id | S2K specifier | optionally the session key (cipher id, key), encrypted under the S2K key.
 * Without the last part the S2K key is the session key itself. Version 5 (RFC 4880bis, draft 10, 5.3), of gpg 2.3 and later:
 * version 5 | cipher id | mode id | S2K specifier | nonce | encrypted session key | tag.
 */
import { randomBytes } from 'node:crypto';
import { DamageError, UnsupportedError } from '../errors.js';
import { closeOcb, OCB, OCB_NONCE, OCB_TAG, openOcb } from './ocb.js';
import { definiteLength, newTag } from './packets.js';
import { decodeCount, deriveKey, ITERATED, parseS2k, passphraseOctets, type S2k, SHA_256 } from './s2k.js';
import {
	AES_256,
	decipher,
	encipher,
	isAes,
	isSessionKey,
	keyLength,
	type SessionKey,
} from './session-key.js';

export const SKESK_TAG = 3;

/**
 * The highest count, 65011712 octets, since nothing is known about how strong the passphrase is; gpg's own calibration
 * arrives at it too. Measured: 0.04 s per run on a processor with SHA instructions.
 */
const CODED_COUNT = 0xff;

/** How the bodies of our packets begin: version, cipher, kind of S2K, hash. */
const OURS = Buffer.from([4, AES_256, ITERATED, SHA_256]);

/** The key that wraps the session keys of a collection's messages, and the S2K specifier that leads to it. */
export interface Wrapping {
	readonly specifier: Buffer;
	readonly key: Buffer;
}

export async function newWrapping(passphrase: string, codedCount = CODED_COUNT): Promise<Wrapping> {
	const salt = randomBytes(8);
	const s2k = { hash: SHA_256, salt, count: decodeCount(codedCount) };
	return {
		specifier: Buffer.concat([Buffer.from([ITERATED, SHA_256]), salt, Buffer.from([codedCount])]),
		key: await deriveKey(s2k, passphraseOctets(passphrase), keyLength(AES_256)),
	};
}

/** The whole packet: 48 bytes for a session key of 32. */
export function writeSkesk({ specifier, key }: Wrapping, sessionKey: SessionKey): Buffer {
	const inner = Buffer.concat([Buffer.from([sessionKey.algorithm]), sessionKey.key]);
	const wrapped = encipher({ algorithm: AES_256, key }, inner);
	const body = Buffer.concat([Buffer.from([4, AES_256]), specifier, wrapped]);
	return Buffer.concat([Buffer.from([newTag(SKESK_TAG)]), definiteLength(body.length), body]);
}

/** At most this many derived keys are remembered; those of one collection of ours are all the same one. */
const REMEMBERED = 64;

/** Opens SKESK packets with one passphrase, and remembers what it derived: the costly part. */
export class PassphraseOpener {
	readonly #passphrase: Buffer;
	readonly #derived = new Map<string, Promise<Buffer>>();

	constructor(passphrase: string) {
		this.#passphrase = passphraseOctets(passphrase);
	}

	/**
	 * The session key in a SKESK body, or null when the passphrase is certainly wrong. A passphrase that is wrong without a
	 * trace here (always, when there is no encrypted session key) shows in the message's prefix.
	 * @throws DamageError for a packet that is cut off, UnsupportedError for what is unknown or needs GnuPG
	 */
	async open(body: Buffer): Promise<SessionKey | null> {
		const [version, algorithm] = body;
		if (version !== 4 && version !== 5) {
			throw new UnsupportedError(`passphrase packet of unknown version ${version ?? 'none'}`);
		}
		if (algorithm === undefined) throw cutOff();
		const specifier = version === 4 ? 2 : 3;
		const { s2k, length } = parseS2k(body.subarray(specifier));
		const derived = { algorithm, key: await this.#derive(s2k, keyLength(algorithm)) };
		const wrapped = body.subarray(specifier + length);
		if (version === 5) return unwrapOcb(derived, body.subarray(0, 3), wrapped);
		if (wrapped.length === 0) return derived;

		const unwrapped = decipher(derived).update(wrapped);
		const inner = { algorithm: unwrapped.readUInt8(0), key: unwrapped.subarray(1) };
		return isSessionKey(inner) ? inner : null;
	}

	/** What wraps the session key in a SKESK body, if it is as `newWrapping` makes it; else null. @throws DamageError when it is cut off */
	async wrapping(body: Buffer): Promise<Wrapping | null> {
		if (!body.subarray(0, OURS.length).equals(OURS)) return null;
		const { s2k, length } = parseS2k(body.subarray(2));
		const specifier = body.subarray(2, 2 + length);
		if (specifier.at(-1) !== CODED_COUNT || body.length === 2 + length) return null;
		return { specifier, key: await this.#derive(s2k, keyLength(AES_256)) };
	}

	#derive(s2k: S2k, length: number): Promise<Buffer> {
		const name = `${s2k.hash}:${s2k.salt.toString('hex')}:${s2k.count}:${length}`;
		let key = this.#derived.get(name);
		if (key === undefined) {
			key = deriveKey(s2k, this.#passphrase, length);
			this.#derived.set(name, key);
			const [oldest] = this.#derived.keys();
			if (this.#derived.size > REMEMBERED && oldest !== undefined) this.#derived.delete(oldest);
		}
		return key;
	}
}

/** Version 5: the cipher of the session key is the one that wraps it. */
function unwrapOcb(wrapping: SessionKey, start: Buffer, wrapped: Buffer): SessionKey | null {
	if (!isAes(wrapping.algorithm) || start[2] !== OCB)
		throw new UnsupportedError('a passphrase packet that needs GnuPG');
	if (wrapped.length < OCB_NONCE + OCB_TAG) throw cutOff();
	const associated = Buffer.concat([Buffer.from([newTag(SKESK_TAG)]), start]);
	const ocb = openOcb(wrapping, wrapped.subarray(0, OCB_NONCE), associated);
	const first = ocb.update(wrapped.subarray(OCB_NONCE, -OCB_TAG));
	const last = closeOcb(ocb, wrapped.subarray(-OCB_TAG));
	if (last === null) return null;
	const found = { algorithm: wrapping.algorithm, key: Buffer.concat([first, last]) };
	return isSessionKey(found) ? found : null;
}

function cutOff(): DamageError {
	return new DamageError('the passphrase packet of the message is cut off');
}

/**
 * The packet that lets a passphrase open a message (SKESK version 4, tag 3; RFC 9580 5.3.1). Its body:
 * version 4 | cipher id | S2K specifier | optionally the session key (cipher id, key), encrypted under the S2K key.
 * Without the last part the S2K key is the session key itself.
 */
import { randomBytes } from 'node:crypto';
import { DamageError, TsdupError } from '../errors.js';
import { definiteLength, newTag } from './packets.js';
import { decodeCount, deriveKey, parseS2k, passphraseOctets, type S2k, SHA_256 } from './s2k.js';
import { AES_256, decipher, encipher, keyLength, type SessionKey } from './session-key.js';

export const SKESK_TAG = 3;

/**
 * The highest count, 65011712 octets, since nothing is known about how strong the passphrase is; gpg's own calibration
 * arrives at it too. Measured: 0.04 s per run on a processor with SHA instructions.
 */
const CODED_COUNT = 0xff;

/** The key that wraps the session keys of one run, and the S2K specifier that leads to it. */
export interface Wrapping {
	readonly specifier: Buffer;
	readonly key: Buffer;
}

export async function newWrapping(passphrase: string): Promise<Wrapping> {
	const salt = randomBytes(8);
	const s2k = { hash: SHA_256, salt, count: decodeCount(CODED_COUNT) };
	return {
		specifier: Buffer.concat([Buffer.from([3, SHA_256]), salt, Buffer.from([CODED_COUNT])]),
		key: await deriveKey(s2k, passphraseOctets(passphrase), keyLength(AES_256)),
	};
}

/** The whole packet (48 bytes) for an AES-256 session key of 32 bytes. */
export function writeSkesk({ specifier, key }: Wrapping, sessionKey: Buffer): Buffer {
	const wrapped = encipher({ algorithm: AES_256, key }, Buffer.concat([Buffer.from([AES_256]), sessionKey]));
	const body = Buffer.concat([Buffer.from([4, AES_256]), specifier, wrapped]);
	return Buffer.concat([Buffer.from([newTag(SKESK_TAG)]), definiteLength(body.length), body]);
}

/** At most this many derived keys are remembered; those of one run of ours are all the same one. */
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
	 * @throws DamageError for a packet that is cut off, TsdupError for what is not supported
	 */
	async open(body: Buffer): Promise<SessionKey | null> {
		const [version, algorithm] = body;
		if (version !== 4) throw new TsdupError(`passphrase packets of version ${version} are not supported yet`);
		if (algorithm === undefined) throw new DamageError('the passphrase packet of the message is cut off');
		const { s2k, length } = parseS2k(body.subarray(2));
		const key = await this.#derive(s2k, keyLength(algorithm));
		const wrapped = body.subarray(2 + length);
		if (wrapped.length === 0) return { algorithm, key };

		const unwrapped = decipher({ algorithm, key }).update(wrapped);
		const inner = { algorithm: unwrapped.readUInt8(0), key: unwrapped.subarray(1) };
		return isAesKey(inner) ? inner : null;
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

function isAesKey({ algorithm, key }: SessionKey): boolean {
	return algorithm >= 7 && algorithm <= AES_256 && keyLength(algorithm) === key.length;
}

/**
 * Who can open what is written: an `Encryptor` makes the first packets of each message and its session key. The volume
 * writer calls `newMessage` once per object, and encrypts with AES-256 whatever the recipients' preferences say.
 */
import { randomBytes } from 'node:crypto';
import type * as openpgp from 'openpgp';
import { KeyError } from '../errors.js';
import { loadOpenpgpJs } from './openpgp-js.js';
import { AES_256, keyLength } from './session-key.js';
import type { Signer } from './signer.js';
import { newWrapping, type Wrapping, writeSkesk } from './skesk.js';

export interface Encryptor {
	/** `header`: the packets that stand first in the message. `sessionKey`: 32 random bytes for AES-256. */
	newMessage(): Promise<{ header: Buffer; sessionKey: Buffer }>;
	/** With a passphrase, before the first message: has the salt of messages that were written before. */
	readonly goOnWith?: (wrapping: Wrapping) => void;
	/** Who signs each message; absent: nobody. */
	readonly signer?: Signer;
}

/**
 * One passphrase packet per message, readable by every gpg. The slow step from passphrase to key is done once and its
 * salt shared by all messages of this encryptor, so that reading them costs one such step too, and by those of the encryptor
 * that it goes on with: a chain of a year would cost hundreds. What sharing gives away:
 * whoever learns the session key of one message learns the first 15 bytes of the others', and still lacks 136 bits.
 * @throws KeyError when the passphrase is empty
 */
export function passphraseEncryptor(passphrase: string): Encryptor {
	if (passphrase === '') throw new KeyError('An empty passphrase cannot encrypt: set GPG_PW in the profile.');
	let wrapping: Promise<Wrapping> | null = null;
	return {
		goOnWith(before) {
			wrapping ??= Promise.resolve(before);
		},
		async newMessage() {
			const sessionKey = newSessionKey();
			wrapping ??= newWrapping(passphrase);
			return { header: writeSkesk(await wrapping, { algorithm: AES_256, key: sessionKey }), sessionKey };
		},
	};
}

/**
 * One packet (PKESK version 3) per recipient. @throws KeyError when there is no recipient; from `newMessage`, when a key
 * has expired since it was looked up
 */
export function publicKeyEncryptor(keys: openpgp.PublicKey[]): Encryptor {
	if (keys.length === 0) throw new KeyError('No key to encrypt to: set GPG_KEYS_ENC in the profile.');
	return {
		async newMessage() {
			const sessionKey = newSessionKey();
			const { openpgp, keyPolicy } = await loadOpenpgpJs();
			try {
				const header = await openpgp.encryptSessionKey({
					data: sessionKey,
					algorithm: 'aes256',
					encryptionKeys: keys,
					format: 'binary',
					config: keyPolicy,
				});
				return { header: Buffer.from(header), sessionKey };
			} catch (cause) {
				throw new KeyError(`Cannot encrypt to the recipients' keys: ${(cause as Error).message}`, { cause });
			}
		},
	};
}

function newSessionKey(): Buffer {
	return randomBytes(keyLength(AES_256));
}

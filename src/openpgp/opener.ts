/**
 * Who can open what is stored: gets session keys out of the packets at the start of messages. One Opener lives as long as a
 * run or a mount, since it remembers what is costly: keys derived from the passphrase, unlocked secret keys.
 */
import type * as openpgp from 'openpgp';
import { DamageError, KeyError, TsdupError, UnsupportedError } from '../errors.js';
import { ByteReader } from './bytes.js';
import type { Gpg } from './gpg.js';
import { loadOpenpgpJs } from './openpgp-js.js';
import { nextPacket, wholeBody } from './packet-reader.js';
import { openPkesk } from './pkesk.js';
import type { SessionKey } from './session-key.js';
import { PassphraseOpener, type Wrapping } from './skesk.js';

export interface OpenerKeys {
	/** Opens messages encrypted with a passphrase, and unlocks secret keys, in the profile and in GnuPG. */
	readonly passphrase?: string | undefined;
	readonly secretKeys?: readonly openpgp.PrivateKey[];
	/** Asked last, for keys that only it has. */
	readonly gpg?: Gpg;
}

/** A message to a passphrase has one packet; each costs a slow derivation, so an attacker's thousands are not tried. */
const MAX_SKESK = 8;
const HIDDEN = '0'.repeat(16);

export class Opener {
	readonly #passphrase: string | undefined;
	readonly #secretKeys: readonly openpgp.PrivateKey[];
	/** The user's GnuPG, for whatever else it has to do for messages. */
	readonly gpg: Gpg | undefined;
	readonly #skesk: PassphraseOpener | undefined;
	readonly #unlocked = new Map<openpgp.PrivateKey, Promise<openpgp.PrivateKey | null>>();

	constructor({ passphrase, secretKeys = [], gpg }: OpenerKeys) {
		this.#passphrase = passphrase === '' ? undefined : passphrase;
		this.#secretKeys = secretKeys;
		this.gpg = gpg;
		this.#skesk = this.#passphrase === undefined ? undefined : new PassphraseOpener(this.#passphrase);
	}

	/**
	 * The session key of the message that begins with these PKESK and SKESK packets. A wrong passphrase may go unnoticed here;
	 * then `checkPrefix` of the decrypted message tells.
	 * @throws KeyError naming the keys that would open it, DamageError for garbled packets, UnsupportedError when all
	 * are of unknown kinds
	 */
	async sessionKey(header: Buffer): Promise<SessionKey> {
		const { pkesk, skesk } = await parseHeader(header);
		const recipients = pkesk.map(({ body }) => body.toString('hex', 1, 9));
		const reasons: string[] = [];
		const unsupported: UnsupportedSkesk[] = [];
		const found =
			(await this.#withSecretKeys(pkesk, recipients, reasons)) ??
			(await this.#withPassphrase(skesk, unsupported)) ??
			(await this.#withGpg([...pkesk, ...unsupported.map(({ packet }) => packet)], reasons));
		const [first] = unsupported;
		if (found === null && pkesk.length === 0 && first) throw first.error;
		if (found === null) throw this.#cannotOpen(recipients, skesk.length > 0, reasons);
		return found;
	}

	/** What wraps the session key of a message to the passphrase, for others to have the same; null unless it is as we write it. */
	async wrapping(header: Buffer): Promise<Wrapping | null> {
		const { skesk } = await parseHeader(header);
		const [packet] = skesk;
		return packet && this.#skesk ? this.#skesk.wrapping(packet.body) : null;
	}

	async #withSecretKeys(
		pkesk: EncryptedKey[],
		recipients: string[],
		reasons: string[],
	): Promise<SessionKey | null> {
		for (const locked of this.#secretKeys) {
			const ids = locked.getKeyIDs().map((id) => id.toHex());
			if (!recipients.some((id) => id === HIDDEN || ids.includes(id))) continue;
			const key = await this.#unlock(locked);
			if (key === null) {
				reasons.push(`the passphrase does not unlock secret key ${locked.getKeyID().toHex().toUpperCase()}`);
				continue;
			}
			try {
				const { openpgp } = await loadOpenpgpJs();
				const binaryMessage = Buffer.concat(pkesk.map(({ raw }) => raw));
				const { packets } = await openpgp.readMessage({ binaryMessage });
				for (const packet of packets) {
					const found = await openPkesk(packet, key, (why) => {
						// To be expected with a hidden recipient, who may be any of the keys.
						reasons.push(`${locked.getKeyID().toHex().toUpperCase()}: ${why}`);
					});
					if (found !== null) return found;
				}
			} catch (cause) {
				reasons.push(`${locked.getKeyID().toHex().toUpperCase()}: ${(cause as Error).message}`);
			}
		}
		return null;
	}

	#unlock(locked: openpgp.PrivateKey): Promise<openpgp.PrivateKey | null> {
		let key = this.#unlocked.get(locked);
		if (key === undefined) {
			key = locked.isDecrypted() ? Promise.resolve(locked) : unlocked(locked, this.#passphrase ?? '');
			this.#unlocked.set(locked, key);
		}
		return key;
	}

	/** Appends to `unsupported` what it cannot open with any passphrase. */
	async #withPassphrase(skesk: EncryptedKey[], unsupported: UnsupportedSkesk[]): Promise<SessionKey | null> {
		if (this.#skesk === undefined) return null;
		for (const packet of skesk) {
			try {
				const found = await this.#skesk.open(packet.body);
				if (found !== null) return found;
			} catch (error) {
				if (!(error instanceof UnsupportedError)) throw error;
				unsupported.push({ packet, error });
			}
		}
		return null;
	}

	async #withGpg(packets: EncryptedKey[], reasons: string[]): Promise<SessionKey | null> {
		if (this.gpg === undefined || packets.length === 0) return null;
		try {
			return await this.gpg.sessionKey(Buffer.concat(packets.map(({ raw }) => raw)), this.#passphrase);
		} catch (error) {
			if (!(error instanceof TsdupError)) throw error;
			reasons.push(error.message);
			return null;
		}
	}

	#cannotOpen(recipients: string[], byPassphrase: boolean, reasons: string[]): KeyError {
		const because = reasons.map((reason) => `\n  ${reason}`).join('');
		if (recipients.length === 0) {
			return new KeyError(
				this.#passphrase === undefined
					? 'The message is encrypted with a passphrase: set GPG_PW in the profile, or PASSPHRASE.'
					: 'The passphrase does not open the message: check GPG_PW in the profile, or PASSPHRASE.',
			);
		}
		const named = [...new Set(recipients)].map((id) =>
			id === HIDDEN ? 'a hidden recipient' : id.toUpperCase(),
		);
		return new KeyError(
			`No key here opens the message. It opens with the secret key of ${named.join(' or ')}` +
				`${byPassphrase ? ', or with a passphrase' : ''}. Import that key into GnuPG or put it into the profile ` +
				`as gpgkey.ID.sec.asc, with its passphrase as GPG_PW.${because}`,
		);
	}
}

/** null when the passphrase is another. */
async function unlocked(
	privateKey: openpgp.PrivateKey,
	passphrase: string,
): Promise<openpgp.PrivateKey | null> {
	const { openpgp, keyPolicy } = await loadOpenpgpJs();
	return openpgp.decryptKey({ privateKey, passphrase, config: keyPolicy }).catch(() => null);
}

/** A PKESK or SKESK packet. */
interface EncryptedKey {
	readonly raw: Buffer;
	readonly body: Buffer;
}

/** One that only GnuPG opens, if anyone; `error` says why. */
interface UnsupportedSkesk {
	readonly packet: EncryptedKey;
	readonly error: UnsupportedError;
}

async function parseHeader(header: Buffer): Promise<{ pkesk: EncryptedKey[]; skesk: EncryptedKey[] }> {
	const pkesk: EncryptedKey[] = [];
	const skesk: EncryptedKey[] = [];
	let unknown: number | undefined;
	const reader = ByteReader.of(header);
	for (let packet = await nextPacket(reader); packet !== null; packet = await nextPacket(reader)) {
		const body = await wholeBody(packet, header.length);
		const found = { raw: Buffer.concat([packet.header, body]), body };
		if (packet.tag !== 1) skesk.push(found);
		else if (body[0] === 3 || body[0] === 2) pkesk.push(found);
		else unknown = body[0];
	}
	if (pkesk.length + skesk.length === 0 && unknown !== undefined)
		throw new UnsupportedError(`the message is encrypted to keys with packets of unknown version ${unknown}`);
	if (pkesk.length + skesk.length === 0)
		throw new DamageError('the OpenPGP message names no key or passphrase');
	if (skesk.length > MAX_SKESK) throw new DamageError('the OpenPGP message has too many passphrases');
	return { pkesk, skesk };
}

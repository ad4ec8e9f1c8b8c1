/**
 * Who signs what is written. GnuPG makes the signatures, so the key may be anywhere that it reaches: its keyring, an agent, a
 * card. It gets the content while that is written, and hands back a signature over all of it, which the volume writer puts
 * behind it: the form of `gpg --sign`, with nothing of the message gone through gpg but what is signed.
 */
import { KeyError } from '../errors.js';
import type { Gpg } from './gpg.js';
import { detachedSignature, type Signing } from './gpg-sign.js';
import { loadOpenpgpJs } from './openpgp-js.js';
import { newTag } from './packets.js';

export interface Signer {
	/** The packet that stands before the content: says which key and digest to expect behind it. */
	readonly onePass: Buffer;
	/** For one message. */
	begin(): Signing;
}

const ONE_PASS_TAG = 4;
const ONE_PASS_VERSION = 3;

/**
 * Signs once, to learn which key and digest gpg chooses, and that it can.
 * @param id of the key, as gpg takes one
 * @throws KeyError with gpg's reason
 */
export async function gpgSigner(gpg: Gpg, id: string, passphrase?: string): Promise<Signer> {
	const trial = detachedSignature(gpg, id, passphrase);
	const onePass = await onePassOf(await trial.finish());
	return {
		onePass,
		begin() {
			const signing = detachedSignature(gpg, id, passphrase);
			return {
				...signing,
				async finish() {
					const signature = await signing.finish();
					if ((await onePassOf(signature)).equals(onePass)) return signature;
					throw new KeyError(
						`GnuPG signs with another key or digest than it began with: run the backup again.`,
					);
				},
			};
		},
	};
}

/** RFC 9580 5.4, version 3. */
async function onePassOf(binarySignature: Buffer): Promise<Buffer> {
	const { openpgp } = await loadOpenpgpJs();
	const { packets } = await openpgp.readSignature({ binarySignature });
	const [packet] = packets;
	if (!packet || packets.length !== 1) {
		throw new KeyError('GnuPG makes several signatures at once: check GPG_OPTS in the profile.');
	}
	const { signatureType, hashAlgorithm, publicKeyAlgorithm, issuerKeyID } = packet;
	if (signatureType === null || hashAlgorithm === null || publicKeyAlgorithm === null) {
		throw new KeyError('GnuPG makes signatures of an unknown kind.');
	}
	const keyId = Buffer.from(issuerKeyID.toHex(), 'hex');
	const last = 1;
	const body = [ONE_PASS_VERSION, signatureType, hashAlgorithm, publicKeyAlgorithm, ...keyId, last];
	return Buffer.from([newTag(ONE_PASS_TAG), body.length, ...body]);
}

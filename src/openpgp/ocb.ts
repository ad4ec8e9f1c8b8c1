/**
 * AES in OCB mode (RFC 7253), as OpenPGP uses it in messages and passphrase packets: nonces of 15 octets, tags of 16. Pure.
 */
import { type CipherOCBTypes, createDecipheriv, type DecipherOCB } from 'node:crypto';
import { keyLength, type SessionKey } from './session-key.js';

/** OpenPGP id of the mode. */
export const OCB = 2;
export const OCB_NONCE = 15;
export const OCB_TAG = 16;

/** What its `update` gives is authenticated only when `closeOcb` has said so. */
export function openOcb({ algorithm, key }: SessionKey, nonce: Buffer, associated: Buffer): DecipherOCB {
	const name = `aes-${keyLength(algorithm) * 8}-ocb` as CipherOCBTypes;
	const ocb = createDecipheriv(name, key, nonce, { authTagLength: OCB_TAG });
	return ocb.setAAD(associated);
}

/** The bytes that did not fill a block, or null when the tag does not fit. */
export function closeOcb(ocb: DecipherOCB, tag: Buffer): Buffer | null {
	try {
		return ocb.setAuthTag(tag).final();
	} catch {
		return null;
	}
}

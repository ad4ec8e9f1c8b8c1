/**
 * What makes a volume of duplicity's readable from the middle as it is: at the beginning of each frame the state of all that has to
 * be undone (length octets, CFB, DEFLATE, length octets again). Made by scan.ts, kept by the index, used by seek-reader.ts.
 */
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { DamageError } from '../errors.js';
import type { BodyStart } from '../openpgp/partial-lengths.js';
import type { Frame } from './frame.js';

export interface SeekPoint {
	/** Bytes that the encrypted packet's chunk has left where the frame begins in the object. */
	readonly outerLeft: number;
	/** Decrypted bytes before the frame's first compressed one, 0 to 15: CFB begins with a block. */
	readonly cfbSkip: number;
	/** Bytes that the frame inflates to, and their CRC-32: a state is of no use to another inflater than the one that made it. */
	readonly inflated: number;
	readonly crc: number;
	/** Where the literal packet's body begins in these. */
	readonly inner: BodyStart;
	/** The inflater's state, sealed. */
	readonly state: Buffer;
}

/** Unlike a frame of ours: `offset` and `length` are bytes of the object, `digest` is that of these bytes. */
export interface SeekFrame extends Frame {
	readonly point: SeekPoint;
}

const TAG_LENGTH = 16;

/**
 * An inflater's state holds content, so it is kept encrypted; and it must be authentic, so it carries a tag.
 * @param key the message's session key
 */
export function sealState(state: Buffer, key: Buffer, tarOffset: number): Buffer {
	const cipher = createCipheriv('aes-256-gcm', stateKey(key), nonce(tarOffset));
	return Buffer.concat([cipher.update(state), cipher.final(), cipher.getAuthTag()]);
}

/** @throws DamageError when it is not what `sealState` made */
export function openState(sealed: Buffer, key: Buffer, tarOffset: number): Buffer {
	try {
		const end = sealed.length - TAG_LENGTH;
		const options = { authTagLength: TAG_LENGTH };
		const decipher = createDecipheriv('aes-256-gcm', stateKey(key), nonce(tarOffset), options);
		decipher.setAuthTag(sealed.subarray(end));
		return Buffer.concat([decipher.update(sealed.subarray(0, end)), decipher.final()]);
	} catch (cause) {
		throw new DamageError('a seek point in the index was altered', { cause });
	}
}

function stateKey(sessionKey: Buffer): Buffer {
	return createHmac('sha256', sessionKey).update('tsdup seek point').digest();
}

/** No two frames of a message begin at the same offset, and the state at an offset is always the same. */
function nonce(tarOffset: number): Buffer {
	const bytes = Buffer.alloc(12);
	bytes.writeBigUInt64BE(BigInt(tarOffset));
	return bytes;
}

/**
 * Reads one whole OpenPGP message as a stream: [PKESK | SKESK …] encrypted( [compressed] ( [one-pass signature] literal
 * [signature] ) ), the form of every encrypted object of duplicity's and ours. AES is decrypted in this process; older
 * ciphers, and messages without a checksum, by GnuPG. Expects anything: memory stays bounded and every input ends in content
 * or an error.
 */
import { DamageError, UnsupportedError } from '../errors.js';
import { ByteReader } from './bytes.js';
import { contents } from './contents.js';
import { decryptBody } from './decrypt.js';
import { decryptOcb } from './decrypt-ocb.js';
import { decryptWithGpg } from './decrypt-with-gpg.js';
import type { Gpg } from './gpg.js';
import { OCB } from './ocb.js';
import { isFiller, nextPacket, skip, unexpected, wholeBody } from './packet-reader.js';
import { isAes, type SessionKey } from './session-key.js';

const PKESK = 1;
const SKESK = 3;
/** Encrypted data: without a checksum; with one (SEIPD); AEAD as gpg 2.3 has it. */
const UNPROTECTED = 9;
export const SEIPD = 18;
const AEAD = 20;
/** Offset in the body of an AEAD packet. */
const AEAD_MODE = 2;

/** All packets before the encrypted data together; one for an RSA key of 4096 bits takes 527 bytes. */
const MAX_HEADER = 64 << 10;

/**
 * The content of the message. **Chunks are not authenticated until the iteration has ended without an error** (and not even
 * then when `sessionKeyFor` was told so): a caller must not let them out, or must be able to take them back, before that.
 * @param sessionKeyFor gets the PKESK and SKESK packets, raw, and whether OpenPGP itself notices when the content was
 * altered: not so without MDC, as gpg wrote messages with ciphers older than AES until 2018
 * @param gpg for what is not decrypted or decompressed in this process
 * @throws KeyError when the session key does not fit; DamageError when the message is cut off, altered or no message at
 * all; UnsupportedError for kinds of messages that nobody here can read; and what `chunks` and `sessionKeyFor` throw
 */
export async function* readMessage(
	chunks: AsyncIterable<Buffer>,
	sessionKeyFor: (header: Buffer, authenticated: boolean) => Promise<SessionKey>,
	gpg?: Gpg,
): AsyncGenerator<Buffer, void, void> {
	const reader = new ByteReader(chunks);
	try {
		const { header, toKeys, tag, body } = await readHeader(reader);
		const authenticated = tag !== UNPROTECTED;
		const sessionKey = await sessionKeyFor(header, authenticated);
		const first = await body.upTo(AEAD_MODE + 1);
		body.unread(first);
		if (tag === SEIPD && isAes(sessionKey.algorithm)) {
			yield* contents(decryptBody(body.rest(), sessionKey), gpg);
		} else if (tag === AEAD && isAes(sessionKey.algorithm) && first[AEAD_MODE] === OCB) {
			yield* contents(decryptOcb(body.rest(), sessionKey), gpg);
		} else if (gpg !== undefined) {
			yield* decryptWithGpg(gpg, { tag, body, authenticated, toKeys }, sessionKey);
		} else throw new UnsupportedError('the message is encrypted in a way that needs GnuPG');
		for (let packet = await nextPacket(reader); packet !== null; packet = await nextPacket(reader)) {
			if (!isFiller(packet.tag)) throw unexpected(packet, 'after the OpenPGP message');
			await skip(packet);
		}
	} finally {
		await reader.close();
	}
}

interface Start {
	/** The PKESK and SKESK packets, raw. */
	readonly header: Buffer;
	/** Whether a key opens it, rather than passphrases only. */
	readonly toKeys: boolean;
	/** Of the encrypted packet. */
	readonly tag: number;
	readonly body: ByteReader;
	/** Its first length octets, if they are of the new format: who goes on with the reader himself needs them. */
	readonly lengths: Buffer | null;
}

/** @throws DamageError when there is no encrypted data, or something before it that does not belong there */
export async function readHeader(reader: ByteReader): Promise<Start> {
	const header: Buffer[] = [];
	let size = 0;
	let toKeys = false;
	for (let packet = await nextPacket(reader); packet !== null; packet = await nextPacket(reader)) {
		const { tag } = packet;
		if (tag === SEIPD || tag === AEAD || tag === UNPROTECTED) {
			return {
				header: Buffer.concat(header),
				toKeys,
				tag,
				lengths: packet.lengths,
				body: new ByteReader(packet.body),
			};
		}
		if (tag === PKESK || tag === SKESK) {
			const raw = Buffer.concat([packet.header, await wholeBody(packet, MAX_HEADER)]);
			size += raw.length;
			if (size > MAX_HEADER) throw new DamageError('the OpenPGP message has too many recipients');
			header.push(raw);
			toKeys ||= tag === PKESK;
		} else if (isFiller(tag)) await skip(packet);
		else throw unexpected(packet, 'before the encrypted data');
	}
	throw new DamageError('the OpenPGP message is cut off: it ends before its encrypted data');
}

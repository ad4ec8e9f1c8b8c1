/**
 * Whether a store has what it was sent. A store's ETag is the MD5 of what it stored, of a single body and of a part; where
 * it is not, by the store's own choice, the object is read back once, and then the store is known. `S3Target` keeps one.
 */
import { createHash } from 'node:crypto';
import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { hashOf } from '../crypto/crypto.js';
import { errorCodes } from './s3-errors.js';

/** How often a body is sent that the store has wrong. */
export const SENDINGS = 3;

export interface Sent {
	/** Bytes. */
	readonly length: number;
	readonly md5: Buffer;
}

/** What the store answered to a body. */
export interface Stored {
	readonly ETag?: string | undefined;
	readonly ServerSideEncryption?: string | undefined;
	readonly SSECustomerAlgorithm?: string | undefined;
}

/** Nobody may change the body until then. */
export async function digest(body: Buffer): Promise<Sent> {
	return { length: body.length, md5: await hashOf('md5', body) };
}

export class Integrity {
	readonly #client: S3Client;
	#etagsAreDigests = true;

	constructor(client: S3Client) {
		this.#client = client;
	}

	/** False: the ETag is not that of what was sent, so the bytes are others, or the store makes it in another way. */
	agrees(sent: Sent, stored: Stored): boolean {
		if (!this.#etagsAreDigests || stored.ServerSideEncryption?.startsWith('aws:kms')) return true;
		if (stored.SSECustomerAlgorithm !== undefined) return true;
		const etag = /^"?([0-9a-f]{32})"?$/i.exec(stored.ETag ?? '')?.[1];
		// Of another form: it does not even look like a digest. The store took the body with its Content-MD5.
		return etag === undefined || etag.toLowerCase() === sent.md5.toString('hex');
	}

	/** The same of a whole object of several parts. */
	agreesInParts(parts: readonly Sent[], stored: Stored): boolean {
		const match = /^"?([0-9a-f]{32})-(\d+)"?$/i.exec(stored.ETag ?? '');
		if (!match || !this.#etagsAreDigests) return true;
		const all = createHash('md5');
		for (const { md5 } of parts) all.update(md5);
		return match[1]?.toLowerCase() === all.digest('hex') && Number(match[2]) === parts.length;
	}

	/**
	 * Reads the object back and compares. When it is right, ETags are not asked again.
	 * @returns false when it holds other bytes, or is not there
	 */
	async holds(object: { Bucket: string; Key: string }, parts: readonly Sent[]): Promise<boolean> {
		try {
			for (let i = 0, at = 0; i < parts.length; i++) {
				const part = parts[i] as Sent;
				const range = part.length > 0 ? { Range: `bytes=${at}-${at + part.length - 1}` } : {};
				const { Body } = await this.#client.send(new GetObjectCommand({ ...object, ...range }));
				const hash = createHash('md5');
				for await (const chunk of Body as AsyncIterable<Buffer>) hash.update(chunk);
				if (!hash.digest().equals(part.md5)) return false;
				at += part.length;
			}
		} catch (error) {
			if (errorCodes(error).some((code) => ['NoSuchKey', 'InvalidRange'].includes(code))) return false;
			// In a cold class it cannot be read; the store took it with its Content-MD5.
			if (!errorCodes(error).includes('InvalidObjectState')) throw error;
		}
		return true;
	}

	/** From here on ETags say nothing: one was not a digest though the bytes are right. */
	distrustEtags(): void {
		this.#etagsAreDigests = false;
	}
}

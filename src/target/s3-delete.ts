/**
 * Deletes objects of a bucket, a thousand per request where the store can, else one by one. Throws what the SDK
 * throws, or an error of the same shape. `S3Target` keeps one, since it remembers what the store can.
 */
import { createHash } from 'node:crypto';
import { DeleteObjectCommand, DeleteObjectsCommand, type S3Client } from '@aws-sdk/client-s3';
import { errorCodes, statusOf } from './s3-errors.js';

/** What S3 takes in one DeleteObjects. */
const BATCH = 1000;

/** Single deletions in flight at a time. */
const SINGLES = 8;

/**
 * How stores without DeleteObjects, or with another idea of its checksum, refuse it. 403: Ceph asks whether all of the bucket may be
 * deleted from, where a policy allows it below a prefix.
 */
const REFUSED: readonly (number | undefined)[] = [400, 403, 405, 411, 501];

export class S3Deleter {
	readonly #client: S3Client;
	readonly #bucket: string;
	#takesBatches = true;

	constructor(client: S3Client, bucket: string) {
		this.#client = client;
		this.#bucket = bucket;
	}

	/** Keys that are not there are no error. */
	async delete(keys: readonly string[]): Promise<void> {
		for (let i = 0; i < keys.length; i += BATCH) {
			const batch = keys.slice(i, i + BATCH);
			if (this.#takesBatches) this.#takesBatches = await this.#deleteBatch(batch);
			if (!this.#takesBatches) await this.#deleteSingly(batch);
		}
	}

	/** @returns false when the store refuses batches */
	async #deleteBatch(keys: readonly string[]): Promise<boolean> {
		const command = new DeleteObjectsCommand({
			Bucket: this.#bucket,
			Delete: { Objects: keys.map((Key) => ({ Key })), Quiet: true },
		});
		addContentMd5(command);
		try {
			const { Errors = [] } = await this.#client.send(command);
			const failed = Errors.find(({ Code }) => Code !== 'NoSuchKey');
			if (failed === undefined) return true;
			throw Object.assign(new Error(`${failed.Key}: ${failed.Message}`), { name: failed.Code ?? 'Unknown' });
		} catch (error) {
			if (REFUSED.includes(statusOf(error))) return false;
			throw error;
		}
	}

	async #deleteSingly(keys: readonly string[]): Promise<void> {
		for (let i = 0; i < keys.length; i += SINGLES) {
			await Promise.all(keys.slice(i, i + SINGLES).map((key) => this.#deleteOne(key)));
		}
	}

	async #deleteOne(key: string): Promise<void> {
		const command = new DeleteObjectCommand({ Bucket: this.#bucket, Key: key });
		await this.#client.send(command).catch((error) => {
			if (!errorCodes(error).includes('NoSuchKey')) throw error;
		});
	}
}

/** OpenStack Swift and old MinIO want this header, which the SDK has replaced by a checksum of its own. */
function addContentMd5(command: DeleteObjectsCommand): void {
	command.middlewareStack.add(
		(next) => (args) => {
			const request = args.request as { headers: Record<string, string>; body: string | Uint8Array };
			request.headers['content-md5'] = createHash('md5').update(request.body).digest('base64');
			return next(args);
		},
		{ step: 'build', name: 'contentMd5' },
	);
}

/**
 * A target in an S3 bucket, below a prefix: one object each, the store's listing is the truth. Works on AWS and on
 * the stores that speak its protocol more or less. Only `openTarget` makes one.
 */
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import {
	AbortMultipartUploadCommand,
	GetObjectCommand,
	type GetObjectCommandOutput,
	ListMultipartUploadsCommand,
	type MultipartUpload,
	paginateListObjectsV2,
	type S3Client,
	type StorageClass,
} from '@aws-sdk/client-s3';
import { DamageError, TargetError } from '../errors.js';
import { type ConnectOptions, connect } from './s3-client.js';
import { CreateOnly } from './s3-create-only.js';
import { S3Deleter } from './s3-delete.js';
import { errorCodes, s3Error, statusOf } from './s3-errors.js';
import { Integrity } from './s3-integrity.js';
import { S3Writer } from './s3-writer.js';
import type { ObjectInfo, ObjectWriter, Target } from './target.js';
import { Traffic } from './traffic.js';
import { describe, type S3Location } from './url.js';

/** Attempts at a body that brings not one byte more, and the mean of the first pause between them, in ms. */
const BODY_ATTEMPTS = 5;
const BODY_PAUSE = 200;

export class S3Target implements Target {
	readonly url: string;
	readonly #location: S3Location;
	readonly #client: S3Client;
	readonly #prefix: string;
	readonly #deleter: S3Deleter;
	readonly #integrity: Integrity;
	readonly #createOnly: CreateOnly;
	readonly #traffic: Traffic;

	/** Makes no request. */
	constructor(location: S3Location, options: ConnectOptions = {}) {
		this.url = describe(location);
		this.#location = location;
		this.#traffic = options.traffic ?? new Traffic();
		this.#client = connect(location, { ...options, traffic: this.#traffic });
		this.#integrity = new Integrity(this.#client);
		this.#createOnly = new CreateOnly(options.createOnlyRefused ?? null);
		this.#deleter = new S3Deleter(this.#client, location.bucket);
		this.#prefix = location.prefix === '' ? '' : `${location.prefix}/`;
	}

	async list(): Promise<ObjectInfo[]> {
		const objects: ObjectInfo[] = [];
		const { bucket, deep } = this.#location;
		const query = { Bucket: bucket, Prefix: this.#prefix, ...(!deep && { Delimiter: '/' }) };
		try {
			for await (const page of paginateListObjectsV2({ client: this.#client }, query)) {
				for (const { Key, Size } of page.Contents ?? []) {
					const name = Key?.slice(this.#prefix.length);
					// Some tools make an object of the prefix itself, as a folder.
					if (name) objects.push({ name, size: Size ?? 0 });
				}
			}
		} catch (cause) {
			throw this.#error('list', undefined, cause);
		}
		return objects;
	}

	async read(name: string, offset: number, length: number): Promise<Buffer> {
		const bytes = Buffer.allocUnsafe(length);
		let filled = 0;
		if (length === 0) return bytes;
		for await (const chunk of this.#body(name, offset, offset + length)) {
			filled += chunk.copy(bytes, filled);
		}
		if (filled < length) throw this.#tooShort(name, offset, offset + length);
		return bytes;
	}

	stream(name: string): AsyncIterable<Buffer> {
		return this.#body(name, 0);
	}

	create(name: string): ObjectWriter {
		const storageClass = this.#storageClass(name);
		return new S3Writer({
			client: this.#client,
			bucket: this.#location.bucket,
			key: this.#prefix + name,
			integrity: this.#integrity,
			createOnly: this.#createOnly,
			toError: (cause) => this.#error('write', name, cause),
			...(storageClass !== undefined && { storageClass }),
		});
	}

	/** The names may go in any order. */
	async delete(names: readonly string[]): Promise<void> {
		const keys = names.map((name) => this.#prefix + name);
		await this.#deleter.delete(keys).catch((cause) => {
			throw this.#error('delete from', undefined, cause);
		});
	}

	async unfinished(): Promise<string[]> {
		return (await this.#unfinishedUploads()).map(({ Key = '' }) => Key.slice(this.#prefix.length));
	}

	/**
	 * Aborts every unfinished upload of an object that is named like ours, so call it only while no other run writes
	 * here.
	 */
	async sweep(): Promise<void> {
		for (const { Key, UploadId } of await this.#unfinishedUploads()) {
			const command = new AbortMultipartUploadCommand({ Bucket: this.#location.bucket, Key, UploadId });
			await this.#client.send(command).catch((cause) => this.#unlessRefused(cause));
		}
	}

	/** None where they cannot be listed. */
	async #unfinishedUploads(): Promise<MultipartUpload[]> {
		const uploads: MultipartUpload[] = [];
		let after: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } = {};
		for (;;) {
			const query = { Bucket: this.#location.bucket, Prefix: this.#prefix, ...after };
			const page = await this.#client
				.send(new ListMultipartUploadsCommand(query))
				.catch((cause) => this.#unlessRefused(cause));
			uploads.push(...(page?.Uploads ?? []));
			if (!page?.IsTruncated) break;
			after = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
		}
		return uploads.filter(({ Key = '' }) => /^(duplicity|tsdup)-/.test(Key.slice(this.#prefix.length)));
	}

	/**
	 * A key that may not list or abort uploads, and a store that cannot, is no reason not to go on: then a lifecycle rule
	 * of the bucket must do it.
	 */
	#unlessRefused(cause: unknown): undefined {
		const refused = [405, 501].includes(statusOf(cause) ?? 0) || errorCodes(cause)[0] === 'AccessDenied';
		if (!refused) throw this.#error('sweep unfinished uploads of', undefined, cause);
	}

	/**
	 * Bytes from `start` up to `end`, or to the object's end, in chunks. A body that breaks off is taken up again where
	 * it ended, from the same version of the object.
	 */
	async *#body(name: string, start: number, end?: number): AsyncGenerator<Buffer> {
		let at = start;
		let etag: string | undefined;
		for (let failures = 0; ; ) {
			const answer = await this.#get(name, at, end, etag);
			etag = answer.ETag;
			const last = /^bytes \d+-(\d+)\//.exec(answer.ContentRange ?? '')?.[1];
			try {
				for await (const chunk of answer.Body as Readable) {
					await this.#traffic.download?.take(chunk.length);
					this.#traffic.downloaded += chunk.length;
					at += chunk.length;
					failures = 0;
					yield chunk;
				}
				if (last === undefined || at > Number(last)) return;
				throw new Error(`the answer ended before byte ${last}, which it promised`);
			} catch (cause) {
				failures++;
				this.#traffic.retries++;
				if (failures === BODY_ATTEMPTS) throw this.#error('read', name, cause);
				await sleep(BODY_PAUSE * 2 ** failures * Math.random());
			}
		}
	}

	async #get(name: string, start: number, end?: number, etag?: string): Promise<GetObjectCommandOutput> {
		const ranged = start > 0 || end !== undefined;
		const request = {
			Bucket: this.#location.bucket,
			Key: this.#prefix + name,
			...(ranged && { Range: `bytes=${start}-${end === undefined ? '' : end - 1}` }),
			...(etag !== undefined && { IfMatch: etag }),
		};
		const answer = await this.#client.send(new GetObjectCommand(request)).catch((cause) => {
			if (statusOf(cause) === 416) throw this.#tooShort(name, start, end);
			throw this.#error('read', name, cause);
		});
		if (ranged && !answer.ContentRange?.startsWith(`bytes ${start}-`)) {
			throw new TargetError(`Cannot read ${name} at ${this.url}: the store does not honour ranges`);
		}
		return answer;
	}

	/** Of volumes only: all else is small, is read at any time, and costs more in a cold class than it saves. */
	#storageClass(name: string): StorageClass | undefined {
		if (!name.includes('.difftar')) return undefined;
		// The SDK's type knows AWS's classes only; other stores have their own.
		return this.#location.storageClass as StorageClass | undefined;
	}

	#tooShort(name: string, start: number, end?: number): DamageError {
		return new DamageError(
			`${name} at ${this.url} is too short: bytes ${start} to ${end ?? 'its end'} are needed`,
		);
	}

	#error(verb: string, name: string | undefined, cause: unknown): Error {
		return s3Error(this.#location, verb, name, cause);
	}
}

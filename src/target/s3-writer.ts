/**
 * Writes one object to S3: a single PUT when it fits into one part, else a multipart upload, which shows nothing
 * before it is completed. Every body has a known length: some stores refuse others. `S3Target` makes one per object.
 */
import {
	AbortMultipartUploadCommand,
	type CompletedPart,
	CompleteMultipartUploadCommand,
	CreateMultipartUploadCommand,
	PutObjectCommand,
	type S3Client,
	type StorageClass,
	UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { ObjectWriter } from './target.js';

/** Bytes; S3 wants at least 5 MiB and at most 10 000 parts, so an object may have 80 GiB. */
export const PART_SIZE = 8 * 1024 * 1024;

/** A writer's memory is one part more than this. */
const PARTS_IN_FLIGHT = 3;

export interface S3WriterOptions {
	readonly client: S3Client;
	readonly bucket: string;
	readonly key: string;
	readonly storageClass?: StorageClass;
	/** Makes an error for people of what the SDK threw. */
	readonly toError: (cause: unknown) => Error;
}

export class S3Writer implements ObjectWriter {
	readonly #client: S3Client;
	readonly #object: { readonly Bucket: string; readonly Key: string };
	readonly #storageClass: { readonly StorageClass?: StorageClass };
	readonly #toError: (cause: unknown) => Error;
	readonly #cancel = new AbortController();
	readonly #inFlight = new Set<Promise<void>>();
	readonly #parts: CompletedPart[] = [];
	#partCount = 0;
	#part: Buffer | undefined;
	#filled = 0;
	#upload: Promise<string | undefined> | undefined;
	#failure: unknown;
	#committed = false;
	#aborted: Promise<void> | undefined;

	constructor({ client, bucket, key, storageClass, toError }: S3WriterOptions) {
		this.#client = client;
		this.#object = { Bucket: bucket, Key: key };
		this.#storageClass = storageClass === undefined ? {} : { StorageClass: storageClass };
		this.#toError = toError;
	}

	/** @throws TargetError, after aborting */
	async write(chunk: Buffer): Promise<void> {
		for (let offset = 0; offset < chunk.length; ) {
			if (this.#filled === PART_SIZE) await this.#sendPart().catch((cause) => this.#fail(cause));
			this.#part ??= Buffer.allocUnsafe(PART_SIZE);
			const copied = chunk.copy(this.#part, this.#filled, offset);
			this.#filled += copied;
			offset += copied;
		}
	}

	/** @throws TargetError, after aborting */
	async commit(): Promise<void> {
		try {
			if (this.#upload === undefined) await this.#putWhole();
			else await this.#complete();
		} catch (cause) {
			await this.#fail(cause);
		}
		this.#committed = true;
	}

	/** Does nothing after a commit. When the store cannot be reached, what it holds is left to `sweep`. */
	abort(): Promise<void> {
		if (this.#committed) return Promise.resolve();
		this.#aborted ??= this.#abort();
		return this.#aborted;
	}

	async #putWhole(): Promise<void> {
		this.#throwIfFailed();
		const body = this.#takePart();
		const request = { ...this.#object, ...this.#storageClass, Body: body, ContentLength: body.length };
		await this.#client.send(new PutObjectCommand(request), { abortSignal: this.#cancel.signal });
	}

	async #complete(): Promise<void> {
		if (this.#filled > 0) await this.#sendPart();
		await Promise.all(this.#inFlight);
		this.#throwIfFailed();
		const request = {
			...this.#object,
			UploadId: await this.#upload,
			MultipartUpload: { Parts: this.#parts },
		};
		await this.#client.send(new CompleteMultipartUploadCommand(request), {
			abortSignal: this.#cancel.signal,
		});
	}

	/** Returns when the part is on its way; how that ended shows at the next part or at the commit. */
	async #sendPart(): Promise<void> {
		const body = this.#takePart();
		const number = ++this.#partCount;
		while (this.#inFlight.size >= PARTS_IN_FLIGHT) await Promise.race(this.#inFlight);
		this.#throwIfFailed();
		const sent: Promise<void> = this.#uploadPart(body, number)
			.catch((cause) => {
				this.#failure ??= cause;
			})
			.finally(() => this.#inFlight.delete(sent));
		this.#inFlight.add(sent);
	}

	async #uploadPart(body: Buffer, number: number): Promise<void> {
		this.#upload ??= this.#begin();
		const request = {
			...this.#object,
			UploadId: await this.#upload,
			PartNumber: number,
			Body: body,
			ContentLength: body.length,
		};
		const { ETag } = await this.#client.send(new UploadPartCommand(request), {
			abortSignal: this.#cancel.signal,
		});
		this.#parts[number - 1] = { PartNumber: number, ETag };
	}

	/** Never cancelled: without the answer nobody would know which upload to abort. */
	async #begin(): Promise<string | undefined> {
		const request = { ...this.#object, ...this.#storageClass };
		return (await this.#client.send(new CreateMultipartUploadCommand(request))).UploadId;
	}

	async #abort(): Promise<void> {
		this.#cancel.abort();
		await Promise.all(this.#inFlight);
		const id = await this.#upload?.catch(() => undefined);
		if (id === undefined) return;
		const request = { ...this.#object, UploadId: id };
		await this.#client.send(new AbortMultipartUploadCommand(request)).catch(() => undefined);
	}

	#takePart(): Buffer {
		const part = this.#part?.subarray(0, this.#filled) ?? Buffer.alloc(0);
		this.#part = undefined;
		this.#filled = 0;
		return part;
	}

	#throwIfFailed(): void {
		if (this.#failure !== undefined) throw this.#failure;
		if (this.#aborted !== undefined) throw new Error('the writer was aborted');
	}

	async #fail(cause: unknown): Promise<never> {
		await this.abort();
		throw this.#toError(cause);
	}
}

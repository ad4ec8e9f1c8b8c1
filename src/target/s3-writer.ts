/**
 * Writes one object to S3: a single PUT when it fits into one part, else a multipart upload, which shows nothing
 * before it is completed. Every body has a known length, since some stores refuse others, and its MD5; what the store then
 * says it has is compared with what was sent. `S3Target` makes one per object.
 */
import {
	AbortMultipartUploadCommand,
	type CompletedPart,
	CompleteMultipartUploadCommand,
	CreateMultipartUploadCommand,
	ListMultipartUploadsCommand,
	PutObjectCommand,
	type S3Client,
	type StorageClass,
	UploadPartCommand,
} from '@aws-sdk/client-s3';
import { LockError, TargetError } from '../errors.js';
import { type Condition, type CreateOnly, isThere } from './s3-create-only.js';
import { errorCodes } from './s3-errors.js';
import { digest, type Integrity, SENDINGS, type Sent } from './s3-integrity.js';
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
	readonly integrity: Integrity;
	readonly createOnly: CreateOnly;
	/** Makes an error for people of what the SDK threw. */
	readonly toError: (cause: unknown) => Error;
}

export class S3Writer implements ObjectWriter {
	readonly #client: S3Client;
	readonly #object: { readonly Bucket: string; readonly Key: string };
	readonly #storageClass: { readonly StorageClass?: StorageClass };
	readonly #integrity: Integrity;
	readonly #createOnly: CreateOnly;
	readonly #toError: (cause: unknown) => Error;
	readonly #cancel = new AbortController();
	readonly #inFlight = new Set<Promise<void>>();
	readonly #parts: CompletedPart[] = [];
	readonly #sent: Sent[] = [];
	/** Whether the store's word on some part differs from what was sent: then the whole object decides. */
	#doubtful = false;
	#partCount = 0;
	#part: Buffer | undefined;
	/** Memory of parts that the store has: new memory for each would keep the garbage collector busy. */
	readonly #free: Buffer[] = [];
	#filled = 0;
	#upload: Promise<string | undefined> | undefined;
	#failure: unknown;
	#committed = false;
	#aborted: Promise<void> | undefined;

	constructor({ client, bucket, key, storageClass, integrity, createOnly, toError }: S3WriterOptions) {
		this.#client = client;
		this.#object = { Bucket: bucket, Key: key };
		this.#storageClass = storageClass === undefined ? {} : { StorageClass: storageClass };
		this.#integrity = integrity;
		this.#createOnly = createOnly;
		this.#toError = toError;
	}

	/** @throws TargetError, after aborting */
	async write(chunk: Buffer): Promise<void> {
		for (let offset = 0; offset < chunk.length; ) {
			if (this.#filled === PART_SIZE) await this.#sendPart().catch((cause) => this.#fail(cause));
			this.#part ??= this.#free.pop() ?? Buffer.allocUnsafeSlow(PART_SIZE);
			const copied = chunk.copy(this.#part, this.#filled, offset);
			this.#filled += copied;
			offset += copied;
		}
	}

	/** @throws TargetError, and LockError when the object is there and another run has written it, after aborting */
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
		const sent = await digest(body);
		const request = { ...this.#object, ...this.#storageClass, ...bodyOf(body, sent) };
		for (let i = 0; i < SENDINGS; i++) {
			const options = { abortSignal: this.#cancel.signal };
			const put = (condition: Condition) =>
				this.#client.send(new PutObjectCommand({ ...request, ...condition }), options);
			// What is sent once more replaces what the store has wrong.
			const stored = await (i > 0 ? put({}) : this.#createOnly.send(put)).catch((cause) =>
				this.#unlessOurs([sent], cause),
			);
			if (!stored) return;
			if (this.#integrity.agrees(sent, stored)) return;
			if (await this.#readsBack([sent])) return;
		}
		throw this.#wrongBytes();
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
		const options = { abortSignal: this.#cancel.signal };
		const complete = (condition: Condition) =>
			this.#client.send(new CompleteMultipartUploadCommand({ ...request, ...condition }), options);
		const stored = await this.#createOnly.send(complete).catch((cause) => {
			// Done already, when the answer to an attempt before was lost: what is stored says so.
			if (!errorCodes(cause).includes('NoSuchUpload')) return this.#unlessOurs(this.#sent, cause);
			this.#doubtful = true;
			return {};
		});
		if (!stored) return;
		const agrees = !this.#doubtful && this.#integrity.agreesInParts(this.#sent, stored);
		if (!agrees && !(await this.#readsBack(this.#sent))) throw this.#wrongBytes();
	}

	/** What the store did not want to replace is what was sent, when the answer to an attempt before was lost. */
	async #unlessOurs(parts: readonly Sent[], cause: unknown): Promise<undefined> {
		if (!isThere(cause)) throw cause;
		if (await this.#integrity.holds(this.#object, parts)) return undefined;
		throw new LockError(
			`${this.#name} is on the target already: another run, maybe on another host, has just written it. Let only one back up to a target at a time, and start again`,
			{ cause },
		);
	}

	/** What the store really has decides. */
	async #readsBack(parts: readonly Sent[]): Promise<boolean> {
		const holds = await this.#integrity.holds(this.#object, parts);
		if (holds) this.#integrity.distrustEtags();
		return holds;
	}

	get #name(): string | undefined {
		return this.#object.Key.split('/').at(-1);
	}

	#wrongBytes(): TargetError {
		return new TargetError(
			`Cannot write ${this.#name}: the store has other bytes than it was sent, each time. Ask its operator, and do not trust it meanwhile`,
		);
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
		if (this.#upload === undefined) {
			this.#upload = this.#begin();
			// It is met below; that may be later than it fails.
			this.#upload.catch(() => {});
		}
		const sent = await digest(body);
		const request = {
			...this.#object,
			UploadId: await this.#upload,
			PartNumber: number,
			...bodyOf(body, sent),
		};
		for (let i = 1; ; i++) {
			const options = { abortSignal: this.#cancel.signal };
			const stored = await this.#client.send(new UploadPartCommand(request), options);
			this.#parts[number - 1] = { PartNumber: number, ETag: stored.ETag };
			this.#sent[number - 1] = sent;
			if (this.#integrity.agrees(sent, stored)) {
				// Not before: what failed may still be on its way.
				if (body.length === PART_SIZE) this.#free.push(body);
				return;
			}
			if (i === SENDINGS) break;
		}
		this.#doubtful = true;
	}

	/** Never cancelled: without the answer nobody would know which upload to abort. */
	async #begin(): Promise<string | undefined> {
		const request = { ...this.#object, ...this.#storageClass };
		const { UploadId, $metadata } = await this.#client.send(new CreateMultipartUploadCommand(request));
		// An attempt whose answer was lost may have begun another, which would be kept, and billed, for ever.
		if (($metadata.attempts ?? 1) > 1) await this.#abortOthers(UploadId).catch(() => undefined);
		return UploadId;
	}

	async #abortOthers(ours: string | undefined): Promise<void> {
		const { Bucket, Key } = this.#object;
		const { Uploads = [] } = await this.#client.send(
			new ListMultipartUploadsCommand({ Bucket, Prefix: Key }),
		);
		for (const upload of Uploads) {
			if (upload.Key !== Key || upload.UploadId === ours) continue;
			const other = { ...this.#object, UploadId: upload.UploadId };
			await this.#client.send(new AbortMultipartUploadCommand(other));
		}
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

function bodyOf(body: Buffer, { md5 }: Sent) {
	return { Body: body, ContentLength: body.length, ContentMD5: md5.toString('base64') };
}

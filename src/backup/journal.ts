/**
 * An append-only file of lines in the cache, from which an interrupted run can go on. Encrypted and authenticated block by
 * block under a key that only the index holds, so what a crash or a full disk leaves at its end is seen and not read.
 * A journal that cannot be written costs no backup, only the going on.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { closeSync, fsync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { promisify } from 'node:util';

const ALGORITHM = 'aes-256-gcm';
const NONCE_LENGTH = 12;
const TAG_LENGTH = 16;

/** Length of what follows, big endian; then nonce, tag and the encrypted lines. */
const HEAD_LENGTH = 4;

/** Bytes of lines that are encrypted at a time. */
const BLOCK_LENGTH = 2 ** 18;

/** More than a block ever has: one line may be longer than a block (a signature), bytes. */
const LONGEST_BLOCK = 2 ** 30;

export class Journal {
	readonly #key: Buffer;
	readonly #failed: (error: unknown) => void;
	#fd: number | null;
	#lines: Buffer[] = [];
	#length = 0;
	#at = 0;
	#usable = true;

	/**
	 * @param key 32 bytes
	 * @param end where new blocks go: what `readJournal` found whole; 0 for a new journal
	 * @param failed told once, when the journal cannot be written; from then on it is none
	 */
	constructor(path: string, key: Buffer, end: number, failed: (error: unknown) => void) {
		this.#key = key;
		this.#failed = failed;
		this.#fd = null;
		try {
			this.#fd = openSync(path, end === 0 ? 'w' : 'r+', 0o600);
			ftruncateSync(this.#fd, end);
			this.#at = end;
		} catch (error) {
			this.#fail(error);
		}
	}

	/** Whether all could be written so far. */
	get usable(): boolean {
		return this.#usable;
	}

	/** @param line without a newline in it */
	append(line: string | Buffer): void {
		if (this.#fd === null) return;
		const bytes = typeof line === 'string' ? Buffer.from(line) : line;
		this.#lines.push(bytes, NEWLINE);
		this.#length += bytes.length + 1;
		if (this.#length >= BLOCK_LENGTH) this.#flush();
	}

	/** All lines so far survive the power when this resolves. */
	async sync(): Promise<void> {
		this.#flush();
		if (this.#fd === null) return;
		try {
			await promisify(fsync)(this.#fd);
		} catch (error) {
			this.#fail(error);
		}
	}

	close(): void {
		this.#flush();
		if (this.#fd !== null) closeSync(this.#fd);
		this.#fd = null;
	}

	#flush(): void {
		if (this.#fd === null || this.#length === 0) return;
		const nonce = randomBytes(NONCE_LENGTH);
		const cipher = createCipheriv(ALGORITHM, this.#key, nonce);
		// At once: a call for each line would cost more than all else that is done for it.
		const body = Buffer.concat([cipher.update(Buffer.concat(this.#lines)), cipher.final()]);
		this.#lines = [];
		this.#length = 0;
		const head = Buffer.alloc(HEAD_LENGTH);
		head.writeUInt32BE(NONCE_LENGTH + TAG_LENGTH + body.length);
		const block = Buffer.concat([head, nonce, cipher.getAuthTag(), body]);
		try {
			for (let done = 0; done < block.length; ) {
				done += writeSync(this.#fd, block, done, block.length - done, this.#at + done);
			}
			this.#at += block.length;
		} catch (error) {
			this.#fail(error);
		}
	}

	/** What is there is kept short: the disk may be full. */
	#fail(error: unknown): void {
		const fd = this.#fd;
		this.#usable = false;
		this.#fd = null;
		this.#lines = [];
		if (fd !== null) {
			ftruncateSync(fd, 0);
			closeSync(fd);
		}
		this.#failed(error);
	}
}

const NEWLINE = Buffer.from('\n');

/**
 * The lines of a journal, up to the first block that is cut off or not authentic.
 * @returns at the end: bytes up to there
 */
export function* readJournal(path: string, key: Buffer): Generator<string, number> {
	let fd: number;
	try {
		fd = openSync(path, 'r');
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
		throw error;
	}
	try {
		for (let at = 0; ; ) {
			const head = readWhole(fd, at, HEAD_LENGTH);
			const length = head?.readUInt32BE() ?? 0;
			if (length < NONCE_LENGTH + TAG_LENGTH || length > LONGEST_BLOCK) return at;
			const block = readWhole(fd, at + HEAD_LENGTH, length);
			const lines = block && decrypt(block, key);
			if (!lines) return at;
			at += HEAD_LENGTH + length;
			for (const line of lines.toString().split('\n')) if (line !== '') yield line;
		}
	} finally {
		closeSync(fd);
	}
}

function readWhole(fd: number, at: number, length: number): Buffer | null {
	const bytes = Buffer.alloc(length);
	return readSync(fd, bytes, 0, length, at) === length ? bytes : null;
}

function decrypt(block: Buffer, key: Buffer): Buffer | null {
	const tagEnd = NONCE_LENGTH + TAG_LENGTH;
	const decipher = createDecipheriv(ALGORITHM, key, block.subarray(0, NONCE_LENGTH));
	decipher.setAuthTag(block.subarray(NONCE_LENGTH, tagEnd));
	try {
		return Buffer.concat([decipher.update(block.subarray(tagEnd)), decipher.final()]);
	} catch {
		return null;
	}
}

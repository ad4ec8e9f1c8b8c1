/**
 * Reads the tar of a volume or sigtar that anybody may have written, as a stream: difftars and sigtars of every duplicity are
 * GNU or PAX archives, ended by zero blocks (and then perhaps garbage) or by nothing at all. Holds one chunk of the source and
 * one entry's headers; bodies pass through. The input is not trusted.
 */
import { DamageError } from '../errors.js';
import { ExtendedHeaders } from './tar-extended.js';
import { BLOCK, type Fail, isZeroBlock, parseHeader, type TarHeader } from './tar-header.js';

export interface TarEntry {
	readonly header: TarHeader;
	/** Of the body's first byte in the tar. */
	readonly offset: number;
}

export interface TarMember extends TarEntry {
	/**
	 * `header.size` bytes in views of the source's chunks. To be read before the next member is asked for, or not at all: what
	 * is left of it is skipped then.
	 */
	readonly body: AsyncIterable<Buffer>;
}

/**
 * The members in their order. The source is read to its end even when the archive ends before, so that this ends without
 * error only when the source does.
 * @param what the object's name, for messages
 * @throws DamageError when it is no tar, or ends inside an entry; and whatever the source throws
 */
export async function* readTar(chunks: AsyncIterable<Buffer>, what: string): AsyncGenerator<TarMember, void> {
	const tar = new TarStream(chunks, what);
	try {
		for (let entry = await tar.next(); entry !== null; entry = await tar.next()) {
			const { header, offset } = entry;
			yield { header, offset, body: tar.body(offset, offset + header.size) };
		}
		await tar.drain();
	} finally {
		await tar.close();
	}
}

/** The same without bodies: at once all entries that one chunk of the source brings, which takes a third of the time. */
export async function* listTar(
	chunks: AsyncIterable<Buffer>,
	what: string,
): AsyncGenerator<TarEntry[], void> {
	const tar = new TarStream(chunks, what);
	try {
		for (let first = await tar.next(); first !== null; first = await tar.next()) {
			yield [first, ...tar.atHand()];
		}
		await tar.drain();
	} finally {
		await tar.close();
	}
}

class TarStream {
	/** Bytes of the tar read so far. */
	#position = 0;
	readonly #source: AsyncIterator<Buffer>;
	#chunk: Buffer = Buffer.alloc(0);
	/** Of the first byte in the chunk that was not read. */
	#at = 0;
	/** Where the next header begins, in the tar. */
	#next = 0;
	/** The extended header whose body comes next. */
	#awaited: { readonly flag: string; readonly size: number } | null = null;
	#ended = false;
	readonly #extended: ExtendedHeaders;
	readonly #fail: Fail;

	constructor(chunks: AsyncIterable<Buffer>, what: string) {
		this.#source = chunks[Symbol.asyncIterator]();
		this.#fail = (problem) => {
			throw new DamageError(
				`${what} is damaged before byte ${this.#position} of its tar: ${problem}; restore the object from a copy, or make a new full backup`,
			);
		};
		this.#extended = new ExtendedHeaders(this.#fail);
	}

	/** The next entry, with what extended headers said of it; null at the end of the archive. */
	async next(): Promise<TarEntry | null> {
		for (;;) {
			const entry = this.#take();
			if (entry) return entry;
			if (this.#ended) return null;
			await this.#more();
		}
	}

	/** The entries that follow, as far as the chunk at hand holds their headers. */
	*atHand(): Generator<TarEntry, void> {
		for (let entry = this.#take(); entry; entry = this.#take()) yield entry;
	}

	async *body(start: number, end: number): AsyncGenerator<Buffer, void> {
		let expected = start;
		while (expected < end) {
			if (this.#position !== expected) throw new Error('the body of a tar member was asked for too late');
			if (this.#at === this.#chunk.length) await this.#more();
			const piece = this.#chunk.subarray(this.#at, this.#at + end - expected);
			this.#advance(piece.length);
			expected += piece.length;
			yield piece;
		}
	}

	async drain(): Promise<void> {
		while (!(await this.#source.next()).done);
	}

	async close(): Promise<void> {
		await this.#source.return?.();
	}

	/** The next entry, if the chunk at hand holds its headers; null when it does not, or the archive has ended. */
	#take(): TarEntry | null {
		while (!this.#ended) {
			this.#advance(Math.min(this.#next - this.#position, this.#chunk.length - this.#at));
			if (this.#position < this.#next || this.#chunk.length - this.#at < this.#wanted()) return null;
			const at = this.#at;
			if (this.#awaited) {
				const { flag, size } = this.#awaited;
				this.#advance(size);
				this.#extended.add(flag, this.#chunk.subarray(at, at + size));
				this.#advance(padded(size) - size);
				this.#next = this.#position;
				this.#awaited = null;
				continue;
			}
			this.#advance(BLOCK);
			if (isZeroBlock(this.#chunk, at)) {
				this.#end();
				return null;
			}
			const { header, flag } = parseHeader(this.#chunk, at, this.#fail);
			const limit = this.#extended.limit(flag);
			if (limit === null) return this.#entry(this.#checkSize(this.#extended.apply(header)));
			if (header.size > limit) this.#fail(`an extended header has ${header.size} bytes`);
			this.#awaited = { flag, size: header.size };
			this.#next = this.#position;
		}
		return null;
	}

	/** Bytes that must be in the chunk for the next step, when nothing is to be skipped before. */
	#wanted(): number {
		return this.#awaited ? padded(this.#awaited.size) : BLOCK;
	}

	/** Asks the source for as much as the next step needs, or for anything at all while something is skipped. */
	async #more(): Promise<void> {
		const wanted = this.#position < this.#next ? 1 : this.#wanted();
		// Copied: a source may use a chunk's memory again when it is asked for the next.
		const pieces: Buffer[] = [];
		let length = this.#chunk.length - this.#at;
		if (length > 0) pieces.push(Buffer.from(this.#chunk.subarray(this.#at)));
		while (length < wanted) {
			const { done, value } = await this.#source.next();
			if (done) {
				this.#position += length;
				if (length > 0 || this.#awaited || this.#position < this.#next) this.#fail('it is cut off');
				this.#end();
				return;
			}
			if (value.length === 0) continue;
			length += value.length;
			pieces.push(length < wanted ? Buffer.from(value) : value);
		}
		const [only] = pieces;
		this.#chunk = pieces.length === 1 && only ? only : Buffer.concat(pieces);
		this.#at = 0;
	}

	#advance(length: number): void {
		this.#at += length;
		this.#position += length;
	}

	#end(): void {
		if (this.#extended.awaited) this.#fail('it ends after an extended header');
		this.#ended = true;
	}

	#entry(header: TarHeader): TarEntry {
		const offset = this.#position;
		this.#next = offset + padded(header.size);
		return { header, offset };
	}

	/** Only files have bodies, whatever size the header of another type has. */
	#checkSize(header: TarHeader): TarHeader {
		const bodiless = header.type !== 'file' && header.type !== 'other';
		if (!Number.isSafeInteger(this.#position + header.size + BLOCK)) this.#fail('an entry is too large');
		return bodiless && header.size > 0 ? { ...header, size: 0 } : header;
	}
}

/** Bytes of whole blocks that hold `size` bytes. */
function padded(size: number): number {
	return Math.ceil(size / BLOCK) * BLOCK;
}

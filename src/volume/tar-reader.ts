/**
 * Reads the tar of a volume or sigtar that anybody may have written, as a stream: difftars and sigtars of every duplicity are
 * GNU or PAX archives, ended by zero blocks (and then perhaps garbage) or by nothing at all. Holds one chunk of the source and
 * one entry's headers; bodies pass through. The input is not trusted.
 */
import { DamageError } from '../errors.js';
import { ByteReader } from '../openpgp/bytes.js';
import { ExtendedHeaders } from './tar-extended.js';
import { BLOCK, type Fail, isZeroBlock, parseHeader, type TarHeader } from './tar-header.js';

export interface TarMember {
	readonly header: TarHeader;
	/** Of the body's first byte in the tar. */
	readonly offset: number;
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
		for (let header = await tar.nextHeader(); header !== null; header = await tar.nextHeader()) {
			const offset = tar.position;
			yield { header, offset, body: tar.body(offset, offset + header.size) };
			await tar.skipTo(offset + Math.ceil(header.size / BLOCK) * BLOCK);
		}
		await tar.drain();
	} finally {
		await tar.close();
	}
}

class TarStream {
	/** Bytes of the tar read so far. */
	position = 0;
	readonly #reader: ByteReader;
	readonly #extended: ExtendedHeaders;
	readonly #fail: Fail;

	constructor(chunks: AsyncIterable<Buffer>, what: string) {
		this.#reader = new ByteReader(chunks);
		this.#fail = (problem) => {
			throw new DamageError(
				`${what} is damaged before byte ${this.position} of its tar: ${problem}; restore the object from a copy, or make a new full backup`,
			);
		};
		this.#extended = new ExtendedHeaders(this.#fail);
	}

	/** The next entry's, with what extended headers said of it; null at the end of the archive. */
	async nextHeader(): Promise<TarHeader | null> {
		for (;;) {
			const block = await this.#exactly(BLOCK, true);
			if (block === null || isZeroBlock(block)) {
				if (this.#extended.awaited) this.#fail('it ends after an extended header');
				return null;
			}
			const { header, flag } = parseHeader(block, this.#fail);
			const limit = this.#extended.limit(flag);
			if (limit === null) return this.#checkSize(this.#extended.apply(header));
			if (header.size > limit) this.#fail(`an extended header has ${header.size} bytes`);
			const body = await this.#exactly(header.size, false);
			this.#extended.add(flag, body ?? this.#cutOff());
			await this.skipTo(Math.ceil(this.position / BLOCK) * BLOCK);
		}
	}

	async *body(start: number, end: number): AsyncGenerator<Buffer, void> {
		let expected = start;
		while (expected < end) {
			if (this.position !== expected) throw new Error('the body of a tar member was asked for too late');
			const piece = await this.#some(end - expected);
			expected += piece.length;
			yield piece;
		}
	}

	async skipTo(position: number): Promise<void> {
		while (this.position < position) await this.#some(position - this.position);
	}

	async drain(): Promise<void> {
		while ((await this.#reader.some(Number.MAX_SAFE_INTEGER)) !== null);
	}

	close(): Promise<void> {
		return this.#reader.close();
	}

	/** Only files have bodies, whatever size the header of another type has. */
	#checkSize(header: TarHeader): TarHeader {
		const bodiless = header.type !== 'file' && header.type !== 'other';
		if (!Number.isSafeInteger(this.position + header.size + BLOCK)) this.#fail('an entry is too large');
		return bodiless && header.size > 0 ? { ...header, size: 0 } : header;
	}

	async #some(max: number): Promise<Buffer> {
		const piece = (await this.#reader.some(max)) ?? this.#cutOff();
		this.position += piece.length;
		return piece;
	}

	/** @param orEnd whether the source may be at its end, which gives null */
	async #exactly(length: number, orEnd: boolean): Promise<Buffer | null> {
		const bytes = await this.#reader.upTo(length);
		this.position += bytes.length;
		if (bytes.length === 0 && orEnd) return null;
		return bytes.length === length ? bytes : this.#cutOff();
	}

	#cutOff(): never {
		return this.#fail('it is cut off');
	}
}

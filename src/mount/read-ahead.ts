/**
 * Gives small files to the kernel before somebody asks for them, when he goes through files in their order (`cp -a`, `tar`, `rsync`,
 * `grep -r`): a question and its answer take longer than reading a small file. The driver upon libfuse 3 tells it what was asked.
 */
import type { DirectoryEntry, FileSystem } from './driver.js';

/** Bytes that are given at once: doubled with each step. */
const FIRST_WINDOW = 64 * 2 ** 10;
const LONGEST_WINDOW = 2 * 2 ** 20;
/** From here on the reader is believed to go on. */
const SURE = 4 * FIRST_WINDOW;
/** Files are read in order if their inodes, which follow the order of the backup, are not farther apart. */
const NEAR = 10_000;

export class ReadAhead {
	readonly #fs: Pick<FileSystem, 'following'>;
	readonly #give: (ino: number, bytes: Buffer) => void;
	/** The small file that somebody asked for last. */
	#last = 0;
	/** Those that were given last, and the one before them. */
	#given: ReadonlySet<number> = new Set();
	#isGiving = false;
	#window = FIRST_WINDOW;
	/** Somebody asked for a small file since a listing was given ahead: else he only lists. */
	#isRead = false;

	/** @param give takes a file's whole content */
	constructor(fs: Pick<FileSystem, 'following'>, give: (ino: number, bytes: Buffer) => void) {
		this.#fs = fs;
		this.#give = give;
	}

	/** Somebody asked for a small file. */
	async read(ino: number): Promise<void> {
		const inOrder = this.#last < ino && ino < this.#last + NEAR;
		this.#last = ino;
		this.#isRead = inOrder;
		// It may be on its way already, and the reader is faster.
		if (this.#isGiving || this.#given.has(ino)) return;
		this.#window = inOrder ? Math.min(this.#window * 2, LONGEST_WINDOW) : FIRST_WINDOW;
		if (this.#window >= SURE) await this.#giveBehind(ino);
	}

	/**
	 * Somebody was given a listing. Who reads in order will want all that is in it; the first file is left to be asked for, which shows
	 * that he still does.
	 */
	async listed(entries: readonly DirectoryEntry[]): Promise<void> {
		if (!this.#isRead || this.#isGiving || this.#window < SURE) return;
		const first = entries.find(({ type }) => type === 'file');
		if (!first || first.ino < this.#last || first.ino > this.#last + NEAR) return;
		this.#isRead = false;
		await this.#giveBehind(first.ino);
	}

	async #giveBehind(ino: number): Promise<void> {
		this.#isGiving = true;
		try {
			const files = await this.#fs.following(ino, this.#window);
			this.#given = new Set([ino, ...files.map((file) => file.ino)]);
			for (const file of files) this.#give(file.ino, file.bytes);
		} finally {
			this.#isGiving = false;
		}
	}
}

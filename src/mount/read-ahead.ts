/**
 * Gives small files to the kernel before somebody asks for them, when he goes through files in their order (`cp -a`, `tar`, `rsync`,
 * `grep -r`): a question and its answer take longer than reading a small file. While he is busy with one directory, the next one is got
 * ready. The driver upon libfuse 3 tells it what was asked.
 */
import { setImmediate as others } from 'node:timers/promises';
import type { DirectoryEntry, FileSystem, Part } from './driver.js';
import { Parts } from './parts.js';
import { Route } from './route.js';

/** Bytes that are given at once: doubled with each step. */
const FIRST_WINDOW = 64 * 2 ** 10;
const LONGEST_WINDOW = 2 * 2 ** 20;
/** From here on the reader is believed to go on. */
const SURE = 4 * FIRST_WINDOW;
/** Files are read in order if their inodes, which follow the order of the backup, are not farther apart. */
const NEAR = 10_000;

type Tree = Pick<FileSystem, 'following' | 'isFixed' | 'readdir'>;
type Files = Awaited<ReturnType<FileSystem['following']>>;

/** Directories that are given before a reader has to show that he still reads: else he only lists. */
const CREDIT = 4;

/** A directory that was not asked for yet. */
interface Ready {
	readonly ino: number;
	/** The first one, which most have only. */
	readonly part: Promise<Part>;
	/** null: it seemed that nobody would read them. */
	readonly files: Promise<Files> | null;
}

export class ReadAhead {
	readonly #tree: Tree;
	readonly #parts: Parts;
	readonly #give: (files: Files) => void;
	/** The small file that somebody asked for last. */
	#last = 0;
	/** What was given last. */
	#given: ReadonlyMap<number, Buffer> = new Map();
	#isGiving = false;
	#window = FIRST_WINDOW;
	/** Directories that are still given before he has to show that he reads. */
	#credit = 0;
	readonly #route = new Route();
	/** The directory that somebody asked for last. */
	#asked = 0;
	#ready: Ready | null = null;

	/** @param give takes whole files */
	constructor(tree: Tree, give: (files: Files) => void) {
		this.#tree = tree;
		this.#parts = new Parts(tree);
		this.#give = give;
	}

	/** All of a file that is on its way to the kernel: some readers are faster. */
	content(ino: number): Buffer | undefined {
		return this.#given.get(ino);
	}

	/** As the tree's own. */
	readdir(ino: number, after: number): Promise<Part> {
		this.#asked = ino;
		if (after === 0 && this.#ready?.ino === ino) return this.#ready.part;
		return this.#parts.readdir(ino, after);
	}

	/** Somebody asked for a small file. */
	async read(ino: number): Promise<void> {
		const inOrder = this.#last < ino && ino < this.#last + NEAR;
		this.#last = ino;
		if (this.#given.has(ino)) {
			this.#credit = CREDIT;
			return;
		}
		if (this.#isGiving) return;
		this.#window = inOrder ? Math.min(this.#window * 2, LONGEST_WINDOW) : FIRST_WINDOW;
		this.#credit = this.#window < SURE ? 0 : CREDIT;
		if (this.#window >= SURE) await this.#giveFrom(ino, this.#tree.following(ino, this.#window), false);
	}

	/** Somebody was given the part of a listing behind the offset `after`. */
	async listed(ino: number, after: number, part: Part): Promise<void> {
		const { entries, isLast } = part;
		this.#parts.given(ino, part);
		const isExpected = after === 0 ? this.#route.enter(ino, entries) : this.#route.goOn(ino, entries);
		// Elsewhere it is not what he was reading.
		if (!isExpected) return;
		if (after === 0) await this.#giveFirst(ino, entries);
		if (isLast) await this.#prepare();
	}

	/**
	 * Who reads in order will want all that is in a directory; now and then the first file is left to be asked for, which shows that he
	 * still does.
	 */
	async #giveFirst(ino: number, entries: readonly DirectoryEntry[]): Promise<void> {
		if (this.#credit === 0 || this.#isGiving) return;
		const files = this.#ready?.ino === ino ? this.#ready.files : null;
		const first = firstFile(entries);
		this.#credit -= 1;
		if (first) await this.#giveFrom(first, files ?? this.#filesOf(entries), this.#credit > 0);
	}

	/** @param itself whether `ino` is given, too */
	async #giveFrom(ino: number, following: Promise<Files>, itself: boolean): Promise<void> {
		this.#isGiving = true;
		try {
			const files = await following;
			this.#given = new Map(files.map((file) => [file.ino, file.bytes]));
			this.#give(itself ? files : files.filter((file) => file.ino !== ino));
		} finally {
			this.#isGiving = false;
		}
	}

	/** The next directory, while the reader is busy with this one. */
	async #prepare(): Promise<void> {
		// Whoever waits for an answer goes first.
		await others();
		const ino = this.#route.next;
		if (ino === null || ino === this.#asked || ino === this.#ready?.ino || !this.#tree.isFixed(ino)) return;
		const part = this.#tree.readdir(ino, 0);
		const files = this.#credit > 0 ? part.then(({ entries }) => this.#filesOf(entries)) : null;
		this.#ready = { ino, part, files };
		// Who asks for it then is told why.
		await Promise.all([part, files]).catch(() => {
			this.#ready = null;
		});
	}

	async #filesOf(entries: readonly DirectoryEntry[]): Promise<Files> {
		const first = firstFile(entries);
		return first === undefined ? [] : this.#tree.following(first, this.#window);
	}
}

function firstFile(entries: readonly DirectoryEntry[]): number | undefined {
	return entries.find(({ type }) => type === 'file')?.ino;
}

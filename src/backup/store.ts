/**
 * Stores what the walk found changed, entry by entry, and counts it. A file that cannot be read is told of and keeps its
 * state in the snapshot before; it never ends the run.
 */
import { closeSync } from 'node:fs';
import type { FileChange } from '../collection/manifest.js';
import type { Content } from '../content/content.js';
import { DamageError, MissingObjectError, TsdupError } from '../errors.js';
import type { FolderRecorder } from '../index/folders.js';
import type { StampLearner } from '../index/stamps.js';
import { deltaOf } from '../rsync/delta.js';
import type { ReadFile } from '../rsync/read.js';
import type { Change, Found } from '../source/change.js';
import type { Before } from '../source/former.js';
import { openRegular, type SourceMetadata, sourcePath } from '../source/source.js';
import { reason, shown } from '../source/words.js';
import { readXattrs } from '../source/xattrs.js';
import { CannotResume, type StoredPiece } from './checkpoints.js';
import { type Basis, type SmallDelta, storeFile, storeRead } from './file.js';
import type { Ready } from './read-ahead.js';
import type { Counts, Reporter } from './report.js';
import type { SetWriter } from './set-writer.js';
import { hasSameContent, hasSameXattrs } from './unchanged.js';

type Touched = Extract<Change, { kind: 'touched' }>;

export interface StoreOptions {
	/** Absolute, without a slash at its end. */
	source: Buffer;
	writer: SetWriter;
	/** null in a full backup. */
	before: Before | null;
	/** Of the snapshot before; null in a full backup. */
	learner: StampLearner | null;
	/** Reads the signatures of the snapshot before. */
	content: Content;
	reporter: Reporter;
	counts: Counts;
	/** Told of what was not stored as the walk saw it; null: nobody wants to know. */
	folders: FolderRecorder | null;
	/** What the target has already of the file that an interrupted run ended in. */
	pieces: readonly StoredPiece[];
}

export class Store {
	readonly #options: StoreOptions;
	/** Of the group at hand. */
	readonly #deltas = new Map<Ready['change'], Promise<SmallDelta | null>>();

	constructor(options: StoreOptions) {
		this.#options = options;
	}

	/** Begins the deltas of what was read ahead: they are made side by side. Before `store` of each of them. */
	begin(group: readonly Ready[]): void {
		this.#deltas.clear();
		for (const { change, read } of group) {
			if (!read || change.kind !== 'stored' || change.previous?.type !== 'file') continue;
			const delta = this.#delta(change.previous.node, read);
			// When it fails, that is met when its turn comes.
			delta.catch(() => {});
			this.#deltas.set(change, delta);
		}
	}

	/**
	 * @param read a small file that was read ahead; null: it is read here
	 * @throws TargetError; DamageError when what tsdup itself made does not fit together
	 */
	async store(change: Change, read: ReadFile | null): Promise<void> {
		const { writer, learner } = this.#options;
		const { path, previous } = change;
		if (change.kind === 'deleted') {
			await writer.addDeleted(path, previous);
			this.#options.counts.deletedEntries++;
			return;
		}
		this.#options.counts.entries++;
		if (change.kind === 'same') {
			if (change.learned !== null) learner?.learn(change.previous.node, change.learned);
			return;
		}
		if (change.kind === 'touched' && (await this.#isUnchanged(change, read))) {
			learner?.learn(change.previous.node, change.metadata.stamp);
			return;
		}
		if (change.metadata.type === 'file') {
			if (!(await this.#storeFile(change, read))) {
				if (this.#kept(path).length > 0) throw new CannotResume('the file that goes on cannot be read');
				return;
			}
		} else {
			const absolute = sourcePath(this.#options.source, path);
			await writer.addPlain(path, this.#withXattrs(path, change.metadata, absolute), previous);
		}
		if (previous) this.#options.counts.changedEntries++;
		else this.#options.counts.newEntries++;
	}

	async #isUnchanged({ path, metadata, previous }: Touched, read: ReadFile | null): Promise<boolean> {
		const absolute = sourcePath(this.#options.source, path);
		if (!hasSameXattrs(absolute, previous)) return false;
		if (metadata.type !== 'file') return true;
		const basis = await this.#basis(previous.node);
		if (!basis) return false;
		this.#options.counts.bytesRead += metadata.size;
		return hasSameContent(absolute, metadata, read, basis.signature);
	}

	/** @returns whether the file was stored; if not, its state in the snapshot before stays */
	async #storeFile(change: Found, read: ReadFile | null): Promise<boolean> {
		const { path, metadata: seen, previous } = change;
		const { writer, counts } = this.#options;
		if (read) {
			const isFile = previous?.type === 'file';
			const small = isFile ? await (this.#deltas.get(change) ?? this.#delta(previous.node, read)) : null;
			const metadata = read.hasXattrs
				? this.#withXattrs(path, seen, sourcePath(this.#options.source, path))
				: seen;
			const stored = await storeRead(writer.difftar, path, metadata, read, small);
			await writer.record({ path, ...stored, stamp: seen.stamp, ...effects(previous) });
			counts.bytesRead += seen.size;
			return true;
		}
		const file = this.#open(path);
		if (!file) return false;
		try {
			const { fd } = file;
			const metadata = this.#withXattrs(path, file.metadata, fd);
			const basis = previous?.type === 'file' ? await this.#basis(previous.node) : null;
			const kept = this.#kept(path);
			const stored = await storeFile(writer.difftar, path, { fd, kept }, metadata, basis);
			const { stamp } = file.metadata;
			await writer.record({ path, ...stored, stamp, ...effects(previous) });
			counts.bytesRead += stored.metadata.size;
			if (stored.incomplete) {
				this.#warn(path, `could only be read up to byte ${stored.metadata.size}`, stored.incomplete);
			} else if (stored.metadata.size !== seen.size) {
				this.#note(path, 'changed while it was read; the next run stores it again');
			}
			return true;
		} catch (error) {
			if (error instanceof TsdupError || !(error as NodeJS.ErrnoException).syscall) throw error;
			this.#warn(path, 'cannot be read', error);
			return false;
		} finally {
			closeSync(file.fd);
		}
	}

	/** @param file where the attributes are read */
	#withXattrs(path: Buffer, metadata: SourceMetadata, file: Buffer | number): SourceMetadata {
		const { xattrs, left } = readXattrs(file);
		for (const { name, error } of left) {
			this.#warn(path, `is backed up without its extended attributes (${name})`, error);
		}
		return xattrs ? { ...metadata, xattrs } : metadata;
	}

	#kept(path: Buffer): readonly StoredPiece[] {
		const { pieces } = this.#options;
		return pieces[0]?.path.equals(path) ? pieces : [];
	}

	#open(path: Buffer): ReturnType<typeof openRegular> {
		try {
			const file = openRegular(sourcePath(this.#options.source, path));
			if (!file) this.#note(path, 'was replaced while it was read');
			return file;
		} catch (error) {
			const { code } = error as NodeJS.ErrnoException;
			if (code === 'ENOENT' || code === 'ELOOP') {
				this.#note(path, 'vanished, or was replaced, while it was read');
			} else {
				this.#warn(path, 'cannot be read', error);
			}
			return null;
		}
	}

	/** null as for `#basis`. */
	async #delta(node: number, { content }: ReadFile): Promise<SmallDelta | null> {
		const basis = await this.#basis(node);
		return basis && { basis, delta: await deltaOf(basis.signature, content) };
	}

	/** What a delta is made against; null when the signature cannot be had: the file is then stored whole. */
	async #basis(node: number): Promise<Basis | null> {
		const { before, content } = this.#options;
		const reference = before?.index.signature(before.set, node);
		if (!before || !reference) return null;
		try {
			const signature = await content.read([reference]);
			return { signature, extents: before.index.body(before.set, node)?.extents ?? null };
		} catch (error) {
			if (!(error instanceof DamageError || error instanceof MissingObjectError)) throw error;
			this.#options.reporter.note(`A signature cannot be used (${error.message}); the file is stored whole.`);
			return null;
		}
	}

	#note(path: Buffer, what: string): void {
		this.#options.folders?.spoil(path);
		this.#options.reporter.note(`${shown(path)} ${what}.`);
	}

	#warn(path: Buffer, what: string, error: unknown): void {
		const { counts, folders, reporter } = this.#options;
		folders?.spoil(path);
		counts.warnings++;
		reporter.warn(`${shown(path)} ${what}: ${reason(error)}`);
	}
}

/** What storing a regular file does to its path. */
function effects(previous: { type: string } | null): { change: FileChange; effect: FileChange } {
	return {
		change: previous?.type === 'file' ? 'changed' : 'new',
		effect: previous ? 'changed' : 'new',
	};
}

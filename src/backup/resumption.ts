/**
 * Going on with an interrupted run after its last complete volume, under its own time: as if it had only taken longer.
 * What was stored stays as it was read then; where the source has changed since, `changed` says so, and an increment must
 * follow.
 */
import { existsSync } from 'node:fs';
import type { Collection } from '../collection/backup-set.js';
import type { ManifestPath } from '../collection/manifest.js';
import { compareTuple } from '../collection/order.js';
import { DamageError, KeyError } from '../errors.js';
import type { Metadata } from '../index/entry.js';
import type { Run } from '../index/runs.js';
import { formatLine } from '../index/segment.js';
import type { ObjectKey } from '../index/set-import.js';
import type { Opener } from '../openpgp/opener.js';
import type { Change } from '../source/change.js';
import { sourcePath } from '../source/source.js';
import { CannotResume, type CompleteVolume, type Kept, type KeptEntry } from './checkpoints.js';
import { Interrupted } from './interrupted.js';
import { stampAt } from './pieces.js';
import type { Counts } from './report.js';
import type { SetWriter } from './set-writer.js';

export interface ResumeOptions {
	readonly run: Run;
	/** Of its journal. */
	readonly path: string;
	readonly collection: Collection;
	readonly source: Buffer;
	readonly plan: string;
	readonly opener: Opener;
	/** Backups need no secret: the plan names who they are for. */
	readonly publicKeys: boolean;
}

/** @returns null when nothing of the run can be kept */
export async function findResumption(options: ResumeOptions): Promise<Resumption | null> {
	const { run, path, collection, source, plan } = options;
	const { journalKey } = run;
	if (!journalKey || !existsSync(path) || !(await isOurs(options, journalKey))) return null;
	const sizes = new Map<string, number>();
	for (const set of collection.incomplete) {
		if (set.time === run.set.time) for (const { name, size } of set.volumes) sizes.set(name, size);
	}
	try {
		const interrupted = new Interrupted(path, journalKey.key);
		if (interrupted.plan !== plan) return null;
		const kept = interrupted.kept(
			({ name, size }) => sizes.get(name) === size,
			(piece) => stampAt(sourcePath(source, piece.path)) === piece.stamp,
		);
		return kept.volumes.length > 0 ? new Resumption(run, journalKey.key, interrupted, kept) : null;
	} catch (error) {
		// One that another version wrote.
		if (error instanceof DamageError || error instanceof SyntaxError) return null;
		throw error;
	}
}

/** Whether the passphrase is still the one that the run was encrypted with. */
async function isOurs({ opener, publicKeys }: ResumeOptions, { header, key }: ObjectKey): Promise<boolean> {
	if (publicKeys || header.length === 0) return true;
	try {
		return (await opener.sessionKey(header)).key.equals(key);
	} catch (error) {
		if (error instanceof KeyError) return false;
		throw error;
	}
}

export class Resumption {
	readonly run: Run;
	/** Of the journal. */
	readonly key: Buffer;
	readonly kept: Kept;
	/** Bytes of the journal that are whole: it goes on from there. */
	readonly journalEnd: number;
	/** Whether the source is not as it was stored any more, as far as the walk has come. */
	changed = false;
	readonly #entries: Iterator<KeptEntry, unknown>;
	#next: KeptEntry | null;
	#passed = false;

	constructor(run: Run, key: Buffer, interrupted: Interrupted, kept: Kept) {
		this.run = run;
		this.key = key;
		this.kept = kept;
		this.journalEnd = interrupted.end;
		this.#entries = interrupted.entries(kept);
		this.#next = this.#advance();
	}

	get #end(): ManifestPath {
		return (this.kept.volumes.at(-1) as CompleteVolume).manifest.end;
	}

	/** Whether a path lies in what is kept. */
	holds(path: Buffer): boolean {
		const order = compareTuple(path, this.#end.path);
		return order < 0 || (order === 0 && this.#end.block === null);
	}

	/** To be asked of each change that the walk finds. @returns whether it lies in what is kept, and so needs nothing */
	async covers(change: Change, writer: SetWriter, counts: Counts): Promise<boolean> {
		if (this.#passed) return false;
		const end = this.#end;
		const order = compareTuple(change.path, end.path);
		if (order === 0 && end.block !== null) {
			const isFile = change.kind === 'stored' && change.metadata.type === 'file';
			if (!isFile) throw new CannotResume('the file that goes on is none any more');
			await this.#drain(writer, counts);
			return false;
		}
		if (order > 0) {
			await this.finish(writer, counts);
			return false;
		}
		if (change.kind !== 'deleted') counts.entries++;
		while (this.#next && compareTuple(this.#next.path, change.path) < 0) {
			this.changed = true;
			await this.#restore(writer, counts);
		}
		const recorded = this.#next?.path.equals(change.path) ? this.#next : null;
		if (!recorded) {
			if (change.kind !== 'same') this.changed = true;
			return true;
		}
		if (!isSame(change, recorded)) this.changed = true;
		await this.#restore(writer, counts);
		return true;
	}

	/** The walk is over, or behind what is kept. */
	async finish(writer: SetWriter, counts: Counts): Promise<void> {
		if (this.#passed) return;
		if (this.#end.block !== null) throw new CannotResume('the file that goes on is gone');
		await this.#drain(writer, counts);
	}

	async #drain(writer: SetWriter, counts: Counts): Promise<void> {
		this.#passed = true;
		while (this.#next) {
			this.changed = true;
			await this.#restore(writer, counts);
		}
	}

	async #restore(writer: SetWriter, counts: Counts): Promise<void> {
		const { path, metadata, extents, delta, signature, change, effect, stamp } = this.#next as KeptEntry;
		await writer.record({
			path,
			metadata,
			content: { extents, delta },
			signature,
			change,
			effect,
			stamp,
			kept: true,
		});
		counts[`${effect}Entries`]++;
		this.#next = this.#advance();
	}

	#advance(): KeptEntry | null {
		const { value, done } = this.#entries.next();
		return done ? null : (value as KeptEntry);
	}
}

function isSame(change: Change, { metadata, stamp }: KeptEntry): boolean {
	if (change.kind === 'deleted') return metadata === null;
	if (change.kind === 'same' || metadata === null) return false;
	return change.metadata.stamp === stamp && facts(change.metadata).equals(facts(metadata));
}

function facts(metadata: Metadata): Buffer {
	return formatLine({
		kind: 'entry',
		path: Buffer.alloc(0),
		// The walk does not look at extended attributes.
		metadata: { ...metadata, xattrs: null },
		extents: [],
		delta: null,
		signature: null,
	});
}

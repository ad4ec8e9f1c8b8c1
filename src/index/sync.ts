/**
 * Brings the index in step with the target: sets that are gone are forgotten, new ones are taken in from their
 * segments. Reads the target only; costs one listing, and one object for each set that is new to this host.
 */
import { createHash } from 'node:crypto';
import type { BackupSet, Chain, Collection } from '../collection/backup-set.js';
import { mend } from '../collection/chains.js';
import { segmentName } from '../collection/names.js';
import { collect } from '../collection/sets.js';
import { DamageError, KeyError, MissingObjectError, type TsdupError, UnsupportedError } from '../errors.js';
import { readMessage } from '../openpgp/message.js';
import type { Opener } from '../openpgp/opener.js';
import { AES_256 } from '../openpgp/session-key.js';
import type { NameForms } from '../profile/name-forms.js';
import type { ObjectInfo, Target } from '../target/target.js';
import { importForeign } from './foreign-import.js';
import { forgetAllBut } from './forget.js';
import { importSegment } from './import.js';
import type { Index } from './index.js';
import { plainBytes } from './plain.js';
import { openRuns, type Run } from './runs.js';
import { awaitingSegments, type ObjectKey } from './set-import.js';
import { readStamps } from './stamps.js';

export interface SyncOptions {
	index: Index;
	target: Target;
	/** Of the objects that belong to the collection; absent: the standard ones, as where backups are written. */
	nameForms?: NameForms;
	opener: Opener;
	/** Where this host's own segments wait for the target. */
	pending: Target;
	/** Whether sets that no key here opens are only unusable: a host with the public key alone can still back up. */
	withoutKeys: boolean;
	/** Told what is lost but can be done without. */
	note: (message: string) => void;
	/** Whether the collection is encrypted: a segment that is not is no segment of it. */
	encrypted: boolean;
}

export interface Synced {
	/** As `listingOf` has it. */
	listing: string;
	collection: Collection;
	/** As they are shown: sets that lost only their manifest are in their places. */
	chains: readonly Chain[];
	/** Complete sets that cannot be shown, and why. */
	unusable: { set: BackupSet; reason: string }[];
	/** Objects that the index knows and the target lacks: what lies in them cannot be read. */
	missing: string[];
}

/** @throws TargetError; KeyError when no passphrase or key here opens any of the sets */
export async function sync(options: SyncOptions): Promise<Synced> {
	const { index, target } = options;
	const objects = await target.list();
	const collection = collect(objects, options.nameForms);
	const runs = new Map(openRuns(index).map((run) => [run.set.time, run]));
	// A set of this host that was not committed is not one that lost its manifest: the next backup sweeps it.
	const chains = mend(collection, (set) => !runs.has(set.time)).chains;
	// One that was taken in when nobody asked for encryption, as `mount --target` does, is refused all the same.
	const may = (set: BackupSet) => !options.encrypted || isEncrypted(set);
	// A set of tsdup's that was listed just before its segment came is read from the middle when it is taken in again.
	const awaiting = awaitingSegments(index);
	const isTaken = (set: BackupSet) => may(set) && !(set.segment && awaiting.has(set.time));
	forgetAllBut(index, new Set(chains.flatMap(({ sets }) => sets.filter(isTaken).map(({ time }) => time))));
	const known = new Set(index.sets().map((set) => set.time));
	const unusable: Synced['unusable'] = [];
	let locked: KeyError | null = null;
	for (const chain of chains) {
		let broken: TsdupError | null = null;
		for (const set of chain.sets) {
			if (known.has(set.time)) continue;
			broken ??= await takeIn(options, set, chain.start, runs.get(set.time));
			if (broken) unusable.push({ set, reason: broken.message });
			if (broken instanceof KeyError) locked ??= broken;
		}
	}
	// One set that opens proves the passphrase or key: the others were made with another, or are damaged.
	if (locked && !options.withoutKeys && index.sets().length === 0) throw locked;
	return {
		listing: listingOf(objects),
		collection,
		chains,
		unusable,
		missing: missing(index, new Set(objects.map(({ name }) => name))),
	};
}

/** A digest of which sets there are and can be: the same as long as no object but volumes, which come first and go last, comes or goes. */
export function listingOf(objects: readonly ObjectInfo[]): string {
	const lines = objects
		.filter(({ name }) => !name.includes('.difftar'))
		.map(({ name, size }) => `${name} ${size}\n`);
	return createHash('sha256').update(lines.sort().join('')).digest('hex');
}

/** @returns why the set cannot be shown; null when it can. @throws TargetError */
async function takeIn(
	options: SyncOptions,
	set: BackupSet,
	chain: number,
	run: Run | undefined,
): Promise<TsdupError | null> {
	const { pending, target, encrypted, note } = options;
	if (encrypted && !isEncrypted(set)) {
		// Whoever may write to the target could otherwise show what he likes.
		return new DamageError(
			'it is not encrypted, though the profile says so; `mount --target` shows it all the same',
		);
	}
	// This host's own copy first: a host that has only the public key could not open the one on the target.
	if (run?.segmentReady) {
		const name = segmentName(set, set.manifest?.encrypted ? 'gpg' : 'none');
		if (!(await attempt(() => takeSegment(options, set.time, pending, name, run.segmentKey)))) return null;
	}
	const { segment } = set;
	if (segment) {
		const failed = await attempt(() => takeSegment(options, set.time, target, segment.name, null));
		if (!failed) return null;
		note(`${segment.name} cannot be used: ${failed.message}`);
	}
	return attempt(() => importForeign(options.index, set, chain, options));
}

function isEncrypted({ volumes, manifest, sigtar, segment }: BackupSet): boolean {
	return [...volumes, manifest, sigtar, segment].every((object) => object?.encrypted ?? true);
}

/** @returns what is wrong with the set's objects; null when nothing is. @throws TargetError and what is no TsdupError */
async function attempt(act: () => Promise<void>): Promise<TsdupError | null> {
	try {
		await act();
		return null;
	} catch (error) {
		for (const kind of [DamageError, MissingObjectError, KeyError, UnsupportedError]) {
			if (error instanceof kind) return error;
		}
		throw error;
	}
}

/**
 * Takes a set's segment into the index.
 * @param known the segment's key, when it need not be asked for
 * @throws DamageError, KeyError, TargetError; nothing is changed then
 */
export async function takeSegment(
	{ index, opener, pending }: SyncOptions,
	setTime: number,
	from: Target,
	name: string,
	known: ObjectKey | null,
): Promise<void> {
	const isLocal = from === pending;
	const stamps = isLocal ? await readStamps(pending, setTime) : null;
	const stored = isLocal ? from.stream(name) : iterate(await whole(from, name));
	if (!name.endsWith('.gpg')) {
		const chunks = plainBytes(name, 'gz', () => stored, opener);
		await importSegment(index, setTime, chunks, null, stamps);
		return;
	}
	const used: ObjectKey = known ?? { header: Buffer.alloc(0), key: Buffer.alloc(0) };
	const chunks = readMessage(stored, async (header) => {
		if (known) return { algorithm: AES_256, key: known.key };
		const session = await opener.sessionKey(header);
		used.header = header;
		used.key = session.key;
		return session;
	});
	await importSegment(index, setTime, chunks, used, stamps);
}

/** Had whole before the import begins, which keeps other processes from writing: it must not wait for the network. */
async function whole(from: Target, name: string): Promise<Buffer[]> {
	const chunks: Buffer[] = [];
	for await (const chunk of from.stream(name)) chunks.push(chunk);
	return chunks;
}

async function* iterate(chunks: readonly Buffer[]): AsyncGenerator<Buffer, void> {
	yield* chunks;
}

function missing({ db }: Index, present: ReadonlySet<string>): string[] {
	const names = db
		.prepare("SELECT name FROM volumes WHERE kind <> 'copy' UNION SELECT name FROM foreign_objects")
		.pluck()
		.all() as string[];
	return names.filter((name) => !present.has(name));
}

/**
 * Brings the index in step with the target: sets that are gone are forgotten, new ones are taken in from their
 * segments. Reads the target only; costs one listing, and one object for each set that is new to this host.
 */
import { createHash } from 'node:crypto';
import type { BackupSet, Chain, Collection } from '../collection/backup-set.js';
import { mend } from '../collection/chains.js';
import { collect } from '../collection/sets.js';
import { KeyError } from '../errors.js';
import type { NameForms } from '../profile/name-forms.js';
import type { ObjectInfo } from '../target/target.js';
import { forgetAllBut } from './forget.js';
import type { Index } from './index.js';
import { openRuns } from './runs.js';
import { awaitingSegments } from './set-import.js';
import { mayTake, type TakeInOptions, takeAll } from './take-in.js';

export interface SyncOptions extends TakeInOptions {
	/** Of the objects that belong to the collection; absent: the standard ones, as where backups are written. */
	readonly nameForms?: NameForms;
	/** Whether sets that no key here opens are only unusable: a host with the public key alone can still back up. */
	readonly withoutKeys: boolean;
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
	// A set of tsdup's that was listed just before its segment came is read from the middle when it is taken in again.
	const awaiting = awaitingSegments(index);
	// One that was taken in when nobody asked for encryption, as `mount --target` does, is refused all the same.
	const isTaken = (set: BackupSet) => mayTake(options, set) && !(set.segment && awaiting.has(set.time));
	forgetAllBut(index, new Set(chains.flatMap(({ sets }) => sets.filter(isTaken).map(({ time }) => time))));
	const known = new Set(index.sets().map((set) => set.time));
	const waiting = chains.flatMap((chain) =>
		chain.sets.filter(({ time }) => !known.has(time)).map((set) => ({ chain, set })),
	);
	const failures = await takeAll(options, waiting, runs);
	// One set that opens proves the passphrase or key: the others were made with another, or are damaged.
	const locked = failures.find(({ reason }) => reason instanceof KeyError);
	if (locked && !options.withoutKeys && index.sets().length === 0) throw locked.reason;
	return {
		listing: listingOf(objects),
		collection,
		chains,
		unusable: failures.map(({ set, reason }) => ({ set, reason: reason.message })),
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

function missing({ db }: Index, present: ReadonlySet<string>): string[] {
	const names = db
		.prepare("SELECT name FROM volumes WHERE kind <> 'copy' UNION SELECT name FROM foreign_objects")
		.pluck()
		.all() as string[];
	return names.filter((name) => !present.has(name));
}

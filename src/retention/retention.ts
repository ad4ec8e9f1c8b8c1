/**
 * Deletes backups that are outdated, and what belongs to none. Works on the listing alone: no object is read, and no key or
 * passphrase is needed.
 */
import { join } from 'node:path';
import type { Access } from '../collection/access.js';
import type { BackupSet, Chain, Collection, ListedObject } from '../collection/backup-set.js';
import { mend } from '../collection/chains.js';
import { parseName, setKey } from '../collection/names.js';
import { collect } from '../collection/sets.js';
import { Index } from '../index/index.js';
import { takeLock } from '../index/lock.js';
import { openRuns } from '../index/runs.js';
import { isLoneSegment, leftOvers, whyIncomplete } from './left-overs.js';
import { forgetRuns, type Removal, remove } from './remove.js';
import { outdated, type Rule } from './rules.js';

export interface RetentionOptions extends Pick<Access, 'target' | 'nameForms' | 'cacheDir'> {
	/** Without it nothing is changed; the report says what would be. */
	readonly force: boolean;
}

export interface RetentionReport {
	/** In the order in which they go: newest first. */
	readonly removals: readonly Removal[];
	/** Objects that were begun and not ended, and go, too. Names. */
	readonly unfinished: readonly string[];
}

export interface PurgeReport extends RetentionReport {
	/** Outdated sets that stay, because newer ones in their chain need them. */
	readonly needed: readonly BackupSet[];
	/** The newest chain, when it is outdated: it stays all the same. */
	readonly spared: Chain | null;
}

export interface CleanupReport extends RetentionReport {
	/** Sets of which only the manifest is lost, and which stay because they can still be shown. */
	readonly mended: readonly BackupSet[];
	/** Encrypted by gpgsm: where there are such objects nobody here knows what needs what, and no set goes. */
	readonly unsupported: readonly string[];
}

/**
 * Deletes what is outdated by any of the rules, what this host's own interrupted runs left, and segments of sets that
 * duplicity deleted, which leaves these.
 * @throws LockError, TargetError; whatever it throws, what is left is whole, and the next run goes on
 */
export function purge(options: RetentionOptions, rules: readonly Rule[]): Promise<PurgeReport> {
	return work(options, async (state) => {
		const { sets, needed, spared } = outdated(state.chains, rules);
		const interrupted = state.collection.incomplete.filter((set) => state.runs.has(set.time));
		const lone = state.collection.incomplete.filter((set) => isLoneSegment(set) && !state.runs.has(set.time));
		const removals = [
			...sets.map((set) => removalOf(state, set, null)),
			...interrupted.map((set) => removalOf(state, set, 'an interrupted run left it')),
			...lone.map((set) => removalOf(state, set, whyIncomplete(set))),
		];
		if (options.force) {
			if (state.runs.size > 0) await options.target.sweep();
			await carryOut(state, removals);
		}
		return { removals, unfinished: [], needed, spared };
	});
}

/**
 * Deletes what belongs to no backup. Other hosts' and other programs' runs must not go on meanwhile: what they have
 * stored so far looks just like that.
 * @throws as `purge`
 */
export function cleanup(options: RetentionOptions): Promise<CleanupReport> {
	return work(options, async (state) => {
		const { unsupported } = state.collection;
		const { sets, mended } = leftOvers(state.collection, state.chains);
		const removals = (unsupported.length > 0 ? [] : sets).map(({ set, reason }) =>
			removalOf(state, set, reason),
		);
		const unfinished = await options.target.unfinished();
		if (options.force) {
			if (unfinished.length > 0) await options.target.sweep();
			await carryOut(state, removals);
		}
		return { removals, unfinished, mended, unsupported };
	});
}

interface State {
	readonly options: RetentionOptions;
	readonly index: Index;
	readonly collection: Collection;
	/** What can be shown. */
	readonly chains: readonly Chain[];
	/** Times of sets that runs of this host began and did not end, s. */
	readonly runs: ReadonlySet<number>;
	/** By the key of the set that they belong to. */
	readonly objects: ReadonlyMap<string, ListedObject[]>;
}

async function work<T>(options: RetentionOptions, act: (state: State) => Promise<T>): Promise<T> {
	const { target, nameForms, cacheDir } = options;
	// Without force, too: the volumes of a run that goes on would be listed as left over.
	const release = takeLock(join(cacheDir, 'lock.sqlite'));
	try {
		const index = new Index(join(cacheDir, 'index.sqlite'));
		try {
			const listed = await target.list();
			const collection = collect(listed, nameForms);
			const runs = new Set(openRuns(index).map(({ set }) => set.time));
			const { chains } = mend(collection, ({ time }) => !runs.has(time));
			return await act({ options, index, collection, chains, runs, objects: bySet(listed, options) });
		} finally {
			index.close();
		}
	} finally {
		release();
	}
}

function bySet(
	listed: readonly ListedObject[],
	{ nameForms }: RetentionOptions,
): Map<string, ListedObject[]> {
	const objects = new Map<string, ListedObject[]>();
	for (const object of listed) {
		const parsed = parseName(object.name, nameForms);
		if (!parsed || parsed.gpgsm) continue;
		const key = setKey(parsed);
		const known = objects.get(key);
		if (known) known.push(object);
		else objects.set(key, [object]);
	}
	return objects;
}

function removalOf({ objects }: State, set: BackupSet, reason: string | null): Removal {
	return { set, reason, objects: objects.get(setKey(set)) ?? [] };
}

async function carryOut({ options, index, collection }: State, removals: readonly Removal[]): Promise<void> {
	await remove(removals, { ...options, index });
	await forgetRuns(removals, collection, index, options.cacheDir);
}

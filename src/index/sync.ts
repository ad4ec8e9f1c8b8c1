/**
 * Brings the index in step with the target: sets that are gone are forgotten, new ones are taken in from their
 * segments. Reads the target only; costs one listing, and one object for each set that is new to this host.
 */

import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { segmentName } from '../collection/names.js';
import { type BackupSet, type Collection, collect } from '../collection/sets.js';
import { DamageError, KeyError, MissingObjectError } from '../errors.js';
import { readMessage } from '../openpgp/message.js';
import type { Opener } from '../openpgp/opener.js';
import { AES_256 } from '../openpgp/session-key.js';
import type { Target } from '../target/target.js';
import { importSegment, type SegmentKey } from './import.js';
import type { Index } from './index.js';
import { isRightPassphrase } from './passphrase.js';
import { openRuns, type Run } from './runs.js';

export interface SyncOptions {
	index: Index;
	target: Target;
	opener: Opener;
	/** Where this host's own segments wait for the target. */
	pending: Target;
	/** Whether sets that no key here opens are only unusable: a host with the public key alone can still back up. */
	withoutKeys: boolean;
	/** Whether the collection is encrypted: a segment that is not is no segment of it. */
	encrypted: boolean;
}

export interface Synced {
	collection: Collection;
	/** Complete sets that cannot be shown, and why. */
	unusable: { set: BackupSet; reason: string }[];
	/** Objects that the index knows and the target lacks: what lies in them cannot be read. */
	missing: string[];
}

/** @throws TargetError; KeyError when the passphrase or key does not open a segment */
export async function sync(options: SyncOptions): Promise<Synced> {
	const { index, target } = options;
	const objects = await target.list();
	const collection = collect(objects);
	const complete = collection.chains.flatMap((chain) => chain.sets);
	forgetAllBut(index, new Set(complete.map((set) => set.time)));
	const known = new Set(index.sets().map((set) => set.time));
	const runs = new Map(openRuns(index).map((run) => [run.set.time, run]));
	const unusable: Synced['unusable'] = [];
	for (const chain of collection.chains) {
		let broken: string | null = null;
		for (const set of chain.sets) {
			if (known.has(set.time)) continue;
			broken ??= await takeIn(options, set, runs.get(set.time));
			if (broken) unusable.push({ set, reason: broken });
		}
	}
	return { collection, unusable, missing: missing(index, new Set(objects.map(({ name }) => name))) };
}

/** @returns why the set cannot be shown; null when it can */
async function takeIn(options: SyncOptions, set: BackupSet, run: Run | undefined): Promise<string | null> {
	// This host's own copy first: a host that has only the public key could not open the one on the target.
	if (run?.segmentReady) {
		const name = segmentName(set, set.manifest?.encrypted ? 'gpg' : 'none');
		const failed = await attempt(() => takeSegment(options, set.time, options.pending, name, run.segmentKey));
		if (!failed) return null;
	}
	const { segment } = set;
	if (!segment) return 'its index segment is not on the target';
	// Whoever may write to the target could otherwise show what he likes.
	if (options.encrypted && !segment.encrypted) return 'its index segment is not encrypted';
	const failed = await attempt(
		() => takeSegment(options, set.time, options.target, segment.name, null),
		options,
	);
	return failed && `its index segment cannot be used: ${failed}`;
}

/** @returns what is wrong with the segment; null when nothing is */
async function attempt(act: () => Promise<void>, options?: SyncOptions): Promise<string | null> {
	try {
		await act();
		return null;
	} catch (error) {
		const isDamage = error instanceof DamageError || error instanceof MissingObjectError;
		if (isDamage || (error instanceof KeyError && options && (await isPassable(options))))
			return error.message;
		throw error;
	}
}

/** Whether a message that does not open says nothing of the key: it need not be here, or it is known to be right. */
async function isPassable({ index, opener, withoutKeys }: SyncOptions): Promise<boolean> {
	return withoutKeys || (await isRightPassphrase(index, opener)) === true;
}

/**
 * Takes a set's segment into the index.
 * @param known the segment's key, when it need not be asked for
 * @throws DamageError, KeyError, TargetError; nothing is changed then
 */
export async function takeSegment(
	{ index, opener }: SyncOptions,
	setTime: number,
	from: Target,
	name: string,
	known: SegmentKey | null,
): Promise<void> {
	if (!name.endsWith('.gpg')) {
		await importSegment(index, setTime, gunzip(name, from.stream(name)), null);
		return;
	}
	const used: SegmentKey = known ?? { header: Buffer.alloc(0), key: Buffer.alloc(0) };
	const chunks = readMessage(from.stream(name), async (header) => {
		if (known) return { algorithm: AES_256, key: known.key };
		const session = await opener.sessionKey(header);
		used.header = header;
		used.key = session.key;
		return session;
	});
	await importSegment(index, setTime, chunks, used);
}

async function* gunzip(name: string, chunks: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
	const source = Readable.from(chunks, { objectMode: false });
	const plain = createGunzip();
	source.once('error', (error) => plain.destroy(error));
	try {
		yield* source.pipe(plain) as AsyncIterable<Buffer>;
	} catch (error) {
		const code = (error as { code?: string }).code ?? '';
		if (!code.startsWith('Z_')) throw error;
		throw new DamageError(`${name} is damaged.`, { cause: error });
	}
}

/**
 * A chain that lost a set is forgotten whole and taken in again: its versions say which sets show them, and
 * those that followed the lost one cannot be shown any more.
 */
function forgetAllBut(index: Index, times: ReadonlySet<number>): void {
	const { db } = index;
	const gone = new Set(index.sets().flatMap((set) => (times.has(set.time) ? [] : [set.chain])));
	if (gone.size === 0) return;
	db.transaction(() => {
		for (const set of index.sets().filter(({ chain }) => gone.has(chain))) {
			db.prepare('DELETE FROM sets WHERE time = ?').run(set.time);
			db.prepare('DELETE FROM frames WHERE volume IN (SELECT id FROM volumes WHERE set_time = ?)').run(
				set.time,
			);
			db.prepare('DELETE FROM volumes WHERE set_time = ?').run(set.time);
		}
		for (const chain of gone) db.prepare('DELETE FROM versions WHERE chain = ?').run(chain);
	}).immediate();
}

function missing({ db }: Index, present: ReadonlySet<string>): string[] {
	const names = db.prepare('SELECT name FROM volumes ORDER BY id').pluck().all() as string[];
	return names.filter((name) => !present.has(name));
}

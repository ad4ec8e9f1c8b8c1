/**
 * Takes sets into the index, each from what there is of it: this host's own copy of its segment, the target's, or what duplicity wrote.
 * The objects of the next sets are on their way meanwhile.
 */
import type { BackupSet, Chain } from '../collection/backup-set.js';
import { segmentName } from '../collection/names.js';
import { DamageError, KeyError, MissingObjectError, type TsdupError, UnsupportedError } from '../errors.js';
import { readMessage } from '../openpgp/message.js';
import type { Opener } from '../openpgp/opener.js';
import { AES_256 } from '../openpgp/session-key.js';
import type { Target } from '../target/target.js';
import { importForeign } from './foreign-import.js';
import { importSegment } from './import.js';
import type { Index } from './index.js';
import { iterate, ObjectsAhead, whole } from './objects-ahead.js';
import { plainBytes } from './plain.js';
import type { Run } from './runs.js';
import type { ObjectKey } from './set-import.js';
import { readStamps } from './stamps.js';

/** Sets whose objects are asked for at once: a journey to the internet takes some 50 ms, and to take in a small set a tenth of that. */
const AHEAD = 8;

/** Whoever wants to know how it goes. */
export interface Listener {
	/** Told what is lost but can be done without. */
	note(message: string): void;
	/** How many of the sets that are new to this host are in the index. */
	taken(done: number, of: number): void;
}

export interface TakeInOptions {
	readonly index: Index;
	readonly target: Target;
	readonly opener: Opener;
	/** Where this host's own segments wait for the target. */
	readonly pending: Target;
	readonly listener: Listener;
	/** Whether the collection is encrypted: a segment that is not is no segment of it. */
	readonly encrypted: boolean;
}

/** A set that cannot be shown. */
export interface Failure {
	readonly set: BackupSet;
	readonly reason: TsdupError;
}

/** Takes sets in, in their order. @returns those that cannot be shown, because of themselves or of one before in their chain. @throws TargetError */
export async function takeAll(
	options: TakeInOptions,
	waiting: readonly { readonly chain: Chain; readonly set: BackupSet }[],
	runs: ReadonlyMap<number, Run>,
): Promise<Failure[]> {
	const failures: Failure[] = [];
	const broken = new Map<Chain, TsdupError>();
	const ahead = new ObjectsAhead(options.target, options.opener);
	for (const [i, { chain, set }] of waiting.entries()) {
		options.listener.taken(i, waiting.length);
		for (const next of waiting.slice(i, i + AHEAD)) {
			const isAsked = mayTake(options, next.set) && !runs.get(next.set.time)?.segmentReady;
			if (isAsked && !broken.has(next.chain)) ahead.begin(next.set);
		}
		const reason = broken.get(chain) ?? (await takeIn(options, ahead, set, chain.start, runs.get(set.time)));
		if (!reason) continue;
		broken.set(chain, reason);
		failures.push({ set, reason });
	}
	return failures;
}

/** @param objects of the target. @returns why the set cannot be shown; null when it can. @throws TargetError */
async function takeIn(
	options: TakeInOptions,
	objects: ObjectsAhead,
	set: BackupSet,
	chain: number,
	run: Run | undefined,
): Promise<TsdupError | null> {
	const { index, pending, opener, listener } = options;
	const note = (message: string) => listener.note(message);
	if (!mayTake(options, set)) {
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
		const failed = await attempt(() => takeSegment(options, set.time, objects, segment.name, null));
		if (!failed) return null;
		note(`${segment.name} cannot be used: ${failed.message}`);
	}
	return attempt(() => importForeign(index, set, chain, { target: objects, opener, note }));
}

/** Whether the set is one that is shown: whoever may write to the target could otherwise show what he likes. */
export function mayTake({ encrypted }: TakeInOptions, set: BackupSet): boolean {
	return !encrypted || isEncrypted(set);
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
	{ index, opener, pending }: TakeInOptions,
	setTime: number,
	from: Pick<Target, 'stream'>,
	name: string,
	known: ObjectKey | null,
): Promise<void> {
	const isLocal = from === pending;
	const stamps = isLocal ? await readStamps(pending, setTime) : null;
	// Had whole before the import begins, which keeps other processes from writing: it must not wait for the network.
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

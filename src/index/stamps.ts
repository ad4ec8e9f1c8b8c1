/**
 * Stamps: for each entry of the source a number that its inode and its ctime make, so that a change is seen which keeps times and
 * size. Only this host knows them. They never go to the target: until a set is in the index, those of its entries wait in the
 * pending folder. Where one is not known, the next backup learns it.
 */
import { MissingObjectError } from '../errors.js';
import type { ObjectWriter, Target } from '../target/target.js';
import type { SnapshotSet } from './entry.js';
import type { Index } from './index.js';

/** Of the entries of a segment, in its order; 0: not known. */
export type Stamps = Float64Array;

const BYTES = 8;

/** Entries whose stamps are written at a time, to a file or to the index. */
const BATCH = 8192;

/** In the pending folder. */
export function stampsName(setTime: number): string {
	return `stamps.${setTime}`;
}

/** Writes the stamps of a set that is being made. */
export class StampWriter {
	readonly #object: ObjectWriter;
	#batch = Buffer.alloc(BATCH * BYTES);
	#filled = 0;

	constructor(object: ObjectWriter) {
		this.#object = object;
	}

	/** For each line of the segment that is of an entry. */
	async add(stamp: number | null): Promise<void> {
		this.#filled = this.#batch.writeDoubleLE(stamp ?? 0, this.#filled);
		if (this.#filled < this.#batch.length) return;
		await this.#object.write(this.#batch);
		this.#batch = Buffer.alloc(BATCH * BYTES);
		this.#filled = 0;
	}

	async finish(): Promise<void> {
		await this.#object.write(this.#batch.subarray(0, this.#filled));
		await this.#object.commit();
	}
}

/** @returns null when there are none, as of a set that another version of tsdup made */
export async function readStamps(pending: Target, setTime: number): Promise<Stamps | null> {
	const chunks: Buffer[] = [];
	try {
		for await (const chunk of pending.stream(stampsName(setTime))) chunks.push(chunk);
	} catch (error) {
		if (error instanceof MissingObjectError) return null;
		throw error;
	}
	const bytes = Buffer.concat(chunks);
	return Float64Array.from({ length: Math.floor(bytes.length / BYTES) }, (_, i) =>
		bytes.readDoubleLE(i * BYTES),
	);
}

/** Remembers stamps of entries that are as a set shows them. */
export class StampLearner {
	readonly #index: Index;
	readonly #set: SnapshotSet;
	#learned: { node: number; stamp: number }[] = [];

	constructor(index: Index, set: SnapshotSet) {
		this.#index = index;
		this.#set = set;
	}

	learn(node: number, stamp: number): void {
		this.#learned.push({ node, stamp });
		if (this.#learned.length === BATCH) this.flush();
	}

	flush(): void {
		const { chain, time } = this.#set;
		const { db } = this.#index;
		const update = db.prepare(
			'UPDATE versions SET stamp = ? WHERE node = ? AND chain = ? AND first <= ? AND last >= ?',
		);
		const learned = this.#learned;
		this.#learned = [];
		if (learned.length === 0) return;
		db.transaction(() => {
			for (const { node, stamp } of learned) update.run(stamp, node, chain, time, time);
		}).immediate();
	}
}

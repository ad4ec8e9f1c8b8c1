/**
 * Fetches one foreign object: reads it once and verifies it whole, finds its seek points on the way, or, where its form has none,
 * rewrites it in the seekable form, under a key of its own when it was encrypted. Also notes in the index what lies where in it.
 */
import { randomBytes } from 'node:crypto';
import { volumeNumber } from '../index/extents.js';
import type { ForeignObject } from '../index/foreign.js';
import type { Index } from '../index/index.js';
import { addScanned } from '../index/seek-points.js';
import { addVolume } from '../index/set-import.js';
import type { Encryptor } from '../openpgp/encryptor.js';
import type { ObjectWriter, Target } from '../target/target.js';
import type { Frame, StoredVolume } from '../volume/frame.js';
import { LONGEST_FRAME, type Scan } from '../volume/scan.js';
import { VolumeWriter } from '../volume/writer.js';
import type { Audience } from './audience.js';
import { type Bodies, readBodies, recordBodies } from './bodies.js';
import { Learning } from './learning.js';
import { type ForeignReader, readWhole } from './stored-bytes.js';

export interface ForeignOptions extends ForeignReader {
	readonly index: Index;
	/** Whether objects are to be kept as they are, because it takes long to get them again. */
	readonly keep: boolean;
}

/** Those who wait for what is fetched. */
export interface Waiting {
	/** Told whenever the index knows more of the object than before. */
	readonly learnt: () => void;
	readonly audience: Audience;
	/** Takes a frame for the audience. */
	readonly give: (frame: Pick<Frame, 'tarOffset' | 'tarLength'>, bytes: Buffer) => void;
}

/**
 * @param copies gets an object as it is stored, or its copy in the seekable form, under the object's id
 * @throws DamageError, MissingObjectError, KeyError, TargetError
 */
export async function fetchObject(
	object: ForeignObject,
	options: ForeignOptions,
	copies: Target,
	waiting: Waiting,
): Promise<void> {
	const { index, keep } = options;
	const name = String(object.id);
	const isVolume = volumeNumber(object.id) > 0;
	const kept = keep ? new KeptObject(copies.create(name)) : null;
	let copy: VolumeWriter | null = null;
	try {
		const note = await readWhole(
			object,
			options,
			async ({ tar, scan, isProven }) => {
				if (scan && isProven && isVolume && !object.indexed) {
					const learning = new Learning(index, object, scan, waiting.learnt);
					const bodies: Bodies = { members: [], sizes: [] };
					const shared = sharing(tar, bodies, { id: object.id, scan, learning, waiting });
					await readBodies(shared, object.name, bodies);
					return () => learning.end(bodies);
				}
				if (!scan) copy = new VolumeWriter(copies.create(name), name, object.form === 'gpg' ? ownKey : null);
				const bodies = await readBodies(copy ? copied(tar, copy) : tar, object.name);
				return (volume: StoredVolume | undefined) => {
					if (scan) addScanned(index, object, scan);
					if (volume) addVolume(index, object.id, object.setTime, volume, 'copy');
					if (isVolume && !object.indexed) recordBodies(index, object, bodies);
				};
			},
			{ provenFirst: !keep, keep: async (chunk) => kept?.write(chunk) },
		);
		const volume = await (copy as VolumeWriter | null)?.finish();
		await (volume ? (copy as VolumeWriter | null)?.commit() : kept?.commit());
		index.db.transaction(() => note(volume)).immediate();
	} finally {
		// After a commit these do nothing.
		await (copy as VolumeWriter | null)?.abort();
		await kept?.abort();
	}
}

interface Shared {
	readonly id: number;
	readonly scan: Scan;
	readonly learning: Learning;
	readonly waiting: Waiting;
}

/** The same tar; on the way what is learnt is noted, and frames that somebody will want soon are given to him. */
async function* sharing(
	tar: AsyncIterable<Buffer>,
	bodies: Bodies,
	{ id, scan, learning, waiting: { audience, give } }: Shared,
): AsyncGenerator<Buffer, void> {
	audience.begin(id);
	try {
		let frame: Buffer | null = null;
		let start = 0;
		let filled = 0;
		for await (const piece of tar) {
			// Its memory is used again.
			filled += frame ? piece.copy(frame, filled) : 0;
			yield piece;
			learning.read(bodies);
			if (scan.frameStart === start) continue;
			const whole = { tarOffset: start, tarLength: scan.frameStart - start };
			if (frame && filled === whole.tarLength && learning.goesOn) give(whole, frame.subarray(0, filled));
			start = scan.frameStart;
			filled = 0;
			const isWanted = await audience.wants(id, scan.frames.length);
			frame = isWanted ? Buffer.allocUnsafeSlow(LONGEST_FRAME) : null;
		}
	} finally {
		audience.end(id);
	}
}

async function* copied(tar: AsyncIterable<Buffer>, writer: VolumeWriter): AsyncGenerator<Buffer, void> {
	for await (const chunk of tar) {
		await writer.write(chunk);
		yield chunk;
	}
}

/** A message without recipients: its key is in this host's index only. */
const ownKey: Encryptor = {
	newMessage: async () => ({ header: Buffer.alloc(0), sessionKey: randomBytes(32) }),
};

/** An object as it is stored, on its way into the cache. When there is no room for it, it is just not kept. */
class KeptObject {
	readonly #writer: ObjectWriter;
	#failed = false;

	constructor(writer: ObjectWriter) {
		this.#writer = writer;
	}

	write(chunk: Buffer): Promise<void> {
		return this.#unlessFailed(() => this.#writer.write(chunk));
	}

	commit(): Promise<void> {
		return this.#unlessFailed(() => this.#writer.commit());
	}

	abort(): Promise<void> {
		return this.#writer.abort();
	}

	async #unlessFailed(act: () => Promise<void>): Promise<void> {
		if (this.#failed) return;
		await act().catch(() => {
			this.#failed = true;
			return this.#writer.abort();
		});
	}
}

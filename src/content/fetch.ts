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
import type { StoredVolume } from '../volume/frame.js';
import { VolumeWriter } from '../volume/writer.js';
import { readBodies, recordBodies } from './bodies.js';
import { Learning } from './learning.js';
import { type ForeignReader, readWhole } from './stored-bytes.js';

export interface ForeignOptions extends ForeignReader {
	readonly index: Index;
	/** Whether objects are to be kept as they are, because it takes long to get them again. */
	readonly keep: boolean;
}

/**
 * @param copies gets an object as it is stored, or its copy in the seekable form, under the object's id
 * @param learnt is told whenever the index knows more of the object than before
 * @throws DamageError, MissingObjectError, KeyError, TargetError
 */
export async function fetchObject(
	object: ForeignObject,
	options: ForeignOptions,
	copies: Target,
	learnt: () => void,
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
					const learning = new Learning(index, object, scan, learnt);
					const rest = await readBodies(tar, object.name, (bodies) => learning.read(bodies));
					return () => learning.end(rest);
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

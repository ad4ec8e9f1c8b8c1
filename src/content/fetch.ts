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
import { VolumeWriter } from '../volume/writer.js';
import { readBodies, recordBodies } from './bodies.js';
import { type ForeignReader, readWhole } from './stored-bytes.js';

export interface ForeignOptions extends ForeignReader {
	readonly index: Index;
	/** Whether objects are to be kept as they are, because it takes long to get them again. */
	readonly keep: boolean;
}

/**
 * @param copies gets an object as it is stored, or its copy in the seekable form, under the object's id
 * @throws DamageError, MissingObjectError, KeyError, TargetError
 */
export async function fetchObject(
	object: ForeignObject,
	options: ForeignOptions,
	copies: Target,
): Promise<void> {
	const { index, keep } = options;
	const { id, setTime } = object;
	const name = String(id);
	const kept = keep ? new KeptObject(copies.create(name)) : null;
	let copy: VolumeWriter | null = null;
	try {
		const { scan, bodies } = await readWhole(
			object,
			options,
			async ({ tar, scan }) => {
				if (scan) return { scan, bodies: await readBodies(tar, object.name) };
				copy = new VolumeWriter(copies.create(name), name, object.form === 'gpg' ? ownKey : null);
				return { scan, bodies: await readBodies(copied(tar, copy), object.name) };
			},
			async (chunk) => kept?.write(chunk),
		);
		const volume = await (copy as VolumeWriter | null)?.finish();
		await (volume ? (copy as VolumeWriter | null)?.commit() : kept?.commit());
		index.db
			.transaction(() => {
				if (scan) addScanned(index, object, scan);
				if (volume) addVolume(index, id, setTime, volume, 'copy');
				if (volumeNumber(id) > 0 && !object.indexed) recordBodies(index, object, bodies);
			})
			.immediate();
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

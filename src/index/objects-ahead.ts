/**
 * Asks for the objects of the sets that come next while one is taken in, and derives their keys: each object costs a journey to the
 * target, and each of duplicity's, whose salts all differ, 40 to 100 ms.
 */
import type { BackupSet, SetObject } from '../collection/backup-set.js';
import { ByteReader } from '../openpgp/bytes.js';
import { readHeader } from '../openpgp/message.js';
import type { Opener } from '../openpgp/opener.js';
import type { Target } from '../target/target.js';
import { isPassphrase } from './passphrase.js';

/** Bytes of an object that is held in memory until its turn; for larger ones the journey does not count. */
const SMALL = 1 << 20;

export class ObjectsAhead {
	readonly #target: Pick<Target, 'stream'>;
	readonly #opener: Pick<Opener, 'sessionKey'>;
	readonly #begun = new Map<string, Promise<Buffer[]>>();

	constructor(target: Pick<Target, 'stream'>, opener: Pick<Opener, 'sessionKey'>) {
		this.#target = target;
		this.#opener = opener;
	}

	/** Asks for what the set will be taken in from, unless that was done before. */
	begin({ segment, manifest, sigtar }: BackupSet): void {
		for (const object of segment ? [segment] : [manifest, sigtar]) {
			if (!object || object.size > SMALL || this.#begun.has(object.name)) continue;
			const pieces = this.#read(object);
			// Whoever asks for it is told.
			pieces.catch(() => {});
			this.#begun.set(object.name, pieces);
		}
	}

	/** As the target's own; once for each object that was begun. */
	stream(name: string): AsyncIterable<Buffer> {
		const pieces = this.#begun.get(name);
		this.#begun.delete(name);
		return pieces ? iterate(pieces) : this.#target.stream(name);
	}

	async #read({ name, encrypted }: SetObject): Promise<Buffer[]> {
		const pieces = await whole(this.#target, name);
		if (encrypted && pieces[0]) void this.#derive(pieces[0]);
		return pieces;
	}

	/** The opener remembers it. What is wrong with the message is found when it is read. */
	async #derive(start: Buffer): Promise<void> {
		try {
			const { header } = await readHeader(ByteReader.of(start));
			if (isPassphrase(header)) await this.#opener.sessionKey(header);
		} catch {
			// See above.
		}
	}
}

/** All of an object. @throws what the target throws */
export async function whole(target: Pick<Target, 'stream'>, name: string): Promise<Buffer[]> {
	const pieces: Buffer[] = [];
	for await (const piece of target.stream(name)) pieces.push(piece);
	return pieces;
}

export async function* iterate(pieces: Buffer[] | Promise<Buffer[]>): AsyncGenerator<Buffer, void> {
	yield* await pieces;
}

/**
 * The bytes of an object in a folder, each of them proven before anybody sees it: the object is hashed whole first, which takes a
 * tenth of the time of decoding it, and each block once more when it is handed out. So what is decoded can be used at once, while
 * the rest is still to come.
 */
import { Hash, sha256 } from '../crypto/crypto.js';
import { DamageError } from '../errors.js';
import type { Target } from '../target/target.js';

/** Bytes of a block. */
const BLOCK = 1 << 20;

export interface Manifested {
	readonly name: string;
	/** Bytes. */
	readonly size: number;
	/** Hex, from the manifest. */
	readonly sha1: string;
}

/** @throws DamageError when it is not what its manifest says, or changes meanwhile; MissingObjectError, TargetError */
export async function* provenBytes(target: Target, object: Manifested): AsyncGenerator<Buffer, void> {
	const whole = new Hash('sha1');
	const digests: Buffer[] = [];
	for await (const block of blocks(target, object)) {
		const [digest] = await Promise.all([sha256(block), whole.update(block)]);
		digests.push(digest);
	}
	requireDigest(object, whole.digest());
	yield* blocks(target, object, async (block, number) => {
		if ((await sha256(block)).equals(digests[number] as Buffer)) return;
		throw new DamageError(`${object.name} changed while it was read.`);
	});
}

/** @throws DamageError */
export function requireDigest({ name, sha1 }: Manifested, digest: Buffer): void {
	const found = digest.toString('hex');
	if (found === sha1) return;
	throw new DamageError(`${name} is not what its manifest says: its SHA-1 is ${found}, not ${sha1}.`);
}

/** The next one is read, and checked, while the one before is worked on. */
async function* blocks(
	target: Target,
	{ name, size }: Manifested,
	check: (block: Buffer, number: number) => Promise<void> = async () => {},
): AsyncGenerator<Buffer, void> {
	const read = async (offset: number) => {
		const block = await target.read(name, offset, Math.min(BLOCK, size - offset));
		await check(block, offset / BLOCK);
		return block;
	};
	let next = read(0);
	for (let offset = BLOCK; ; offset += BLOCK) {
		const block = await next;
		if (offset < size) next = read(offset);
		// It is waited for above; until then nobody listens to it.
		next.catch(() => {});
		yield block;
		if (offset >= size) return;
	}
}

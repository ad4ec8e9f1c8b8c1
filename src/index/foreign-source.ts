/** The objects of a set without a segment, as they are read: manifest, sigtar, volumes. */
import type { SetObject } from '../collection/backup-set.js';
import { type Manifest, parseManifest } from '../collection/manifest.js';
import { rangesFit } from '../collection/ranges.js';
import { DamageError, MissingObjectError, UnsupportedError } from '../errors.js';
import type { Opener } from '../openpgp/opener.js';
import type { Target } from '../target/target.js';
import { formOf, plainBytes } from './plain.js';

export interface ForeignSource {
	readonly target: Pick<Target, 'stream'>;
	readonly opener: Pick<Opener, 'sessionKey' | 'gpg'>;
	/** Told what is lost but can be done without. */
	readonly note: (message: string) => void;
}

/** More than any manifest that duplicity can have written within its own memory. */
const MANIFEST_LIMIT = 2 ** 30;

/** Bytes of the end of a tar. */
const END_LENGTH = 1024;

/** @throws DamageError, MissingObjectError, KeyError, TargetError */
export async function loadManifest(
	object: SetObject,
	source: Pick<ForeignSource, 'target' | 'opener'>,
): Promise<Manifest> {
	const chunks: Buffer[] = [];
	let length = 0;
	for await (const chunk of openObject(object, source)) {
		length += chunk.length;
		if (length > MANIFEST_LIMIT) throw new DamageError(`${object.name} is too large for a manifest.`);
		chunks.push(chunk);
	}
	const manifest = parseManifest(Buffer.concat(chunks), object.name);
	if (!rangesFit(manifest.volumes)) {
		throw new DamageError(`${object.name} is damaged: its path ranges contradict each other`);
	}
	return manifest;
}

/** A sigtar's bytes; authentic, and all there are, when the iteration ends without an error. @throws as `loadManifest` */
export function openSigtar(
	object: SetObject,
	source: Pick<ForeignSource, 'target' | 'opener'>,
): AsyncIterable<Buffer> {
	const bytes = openObject(object, source);
	return formOf(object) === 'plain' ? toItsEnd(bytes, object.name) : bytes;
}

/** What is in an object, decrypted and uncompressed. */
export function openObject(
	object: SetObject,
	{ target, opener }: Pick<ForeignSource, 'target' | 'opener'>,
): AsyncIterable<Buffer> {
	return plainBytes(object.name, formOf(object), () => target.stream(object.name), opener);
}

/** Neither compressed nor encrypted, only the two zero blocks at its end tell a whole sigtar from one cut off between entries. */
async function* toItsEnd(chunks: AsyncIterable<Buffer>, name: string): AsyncGenerator<Buffer, void> {
	let tail = Buffer.alloc(0);
	for await (const chunk of chunks) {
		yield chunk;
		tail = Buffer.concat([tail, chunk.subarray(-END_LENGTH)]).subarray(-END_LENGTH);
	}
	if (tail.equals(Buffer.alloc(END_LENGTH))) return;
	throw new DamageError(`${name} is cut off: restore the object from a copy, or make a new full backup.`);
}

/** What is lost, and is none of the target's or the key's trouble. */
export function isLoss(error: unknown): error is DamageError | MissingObjectError | UnsupportedError {
	// A damaged message may claim to be of a kind that nobody knows.
	return [DamageError, MissingObjectError, UnsupportedError].some((kind) => error instanceof kind);
}

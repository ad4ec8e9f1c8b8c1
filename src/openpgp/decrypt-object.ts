/**
 * Opens any encrypted object that gpg made for duplicity. Called by whoever reads a collection's volumes, sigtars and
 * manifests; adds the object's name to what went wrong in its message.
 */
import { DamageError, KeyError, UnsupportedError } from '../errors.js';
import { dearmored } from './armor.js';
import { readMessage } from './message.js';
import type { Opener } from './opener.js';
import type { SessionKey } from './session-key.js';

/** Known as soon as the message was opened, before the first byte of content. */
export interface OpenedMessage {
	readonly sessionKey: SessionKey;
	/** False for data without MDC: only the manifest's digest of the stored object then tells that it is unaltered. */
	readonly authenticated: boolean;
}

/**
 * The literal content. **Not authenticated until the iteration has ended without an error**, see `readMessage`.
 * @param open the stored bytes; called once, when the iteration begins
 * @param opened is called once the session key was found; not proven right until content comes
 * @throws KeyError naming the keys that would open it; DamageError when the object is cut off, altered or no message;
 * UnsupportedError when neither this process nor GnuPG knows its kind; and what `open` throws, as it is
 */
export async function* decryptObject(
	name: string,
	open: () => AsyncIterable<Buffer>,
	opener: Pick<Opener, 'sessionKey' | 'gpg'>,
	opened: (message: OpenedMessage) => void = () => {},
): AsyncGenerator<Buffer, void, void> {
	let theirs: unknown;
	const stored = async function* () {
		try {
			yield* open();
		} catch (error) {
			theirs = error;
			throw error;
		}
	};
	const sessionKeyFor = async (header: Buffer, authenticated: boolean) => {
		const sessionKey = await opener.sessionKey(header);
		opened({ sessionKey, authenticated });
		return sessionKey;
	};
	try {
		yield* readMessage(dearmored(stored()), sessionKeyFor, opener.gpg);
	} catch (error) {
		if (error === theirs) throw error;
		throw named(name, error);
	}
}

/** An error of this folder, with the name of the object in it. */
export function named(name: string, error: unknown): unknown {
	for (const kind of [KeyError, DamageError, UnsupportedError]) {
		if (error instanceof kind) return new kind(`${name}: ${error.message}`, { cause: error });
	}
	return error;
}

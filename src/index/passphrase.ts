/**
 * Whether the passphrase is the one that the collection's newest set was written with. A chain of several passphrases can
 * be written but not read back with stock; and this needs no request, because the index keeps a header to try.
 */
import { KeyError } from '../errors.js';
import type { Opener } from '../openpgp/opener.js';
import type { Index } from './index.js';

/** @returns the packets in front of that set's message; null when they name no passphrase. @throws KeyError when it is another */
export async function checkPassphrase(index: Index, opener: Opener): Promise<Buffer | null> {
	const row = index.db
		.prepare(
			`SELECT key_header AS header, session_key AS key FROM sets
			WHERE key_header IS NOT NULL ORDER BY time DESC LIMIT 1`,
		)
		.get() as { header: Buffer; key: Buffer } | undefined;
	if (!row || !isPassphrase(row.header)) return null;
	const session = await opener.sessionKey(row.header);
	if (session.key.equals(row.key)) return row.header;
	throw new KeyError('The passphrase is not the one that this collection was written with.');
}

/** Whether a message begins with a symmetric-key encrypted session key packet (tag 3), old or new form. */
export function isPassphrase(header: Buffer): boolean {
	const first = header[0] ?? 0;
	return (first & 0x40 ? first & 0x3f : (first >> 2) & 0x0f) === 3;
}

/**
 * Who signed a message. GnuPG judges, with the public keys that it has: it gets the message as it is stored, but for what stands
 * before the encrypted data, where a passphrase packet is made for it alone. So it needs no secret key for that.
 */
import { TsdupError } from '../errors.js';
import { dearmored } from './armor.js';
import { ByteReader } from './bytes.js';
import { forGpg } from './decrypt-with-gpg.js';
import { feedAll, type Gpg, lastLine } from './gpg.js';
import { readHeader } from './message.js';
import type { Opener } from './opener.js';

export interface SignerKey {
	/** As the profile names it. */
	readonly id: string;
	/** Hex, of it and its subkeys; none: gpg does not have it. */
	readonly fingerprints: readonly string[];
	readonly gpg: Gpg;
}

/**
 * The fingerprints of the keys whose good signature a message has: also of one that has expired since. One that gpg does not have
 * the key of does not count.
 * @param stored the object's bytes, which are known to be a whole message
 * @throws KeyError, DamageError when it cannot be opened; TsdupError when gpg cannot run; what `stored` throws
 */
export async function signedBy(
	stored: AsyncIterable<Buffer>,
	opener: Pick<Opener, 'sessionKey'>,
	gpg: Gpg,
): Promise<Set<string>> {
	const reader = new ByteReader(dearmored(stored));
	try {
		const { header, tag, body } = await readHeader(reader);
		const { passphrase, message } = await forGpg({ tag, body }, await opener.sessionKey(header));
		const args = ['--trust-model', 'always', '--no-auto-key-retrieve', '--decrypt'];
		const { child, ended, status, stderr } = gpg.start(args, passphrase);
		try {
			child.stdout.resume();
			await Promise.all([ended, feedAll(child.stdin, message)]);
		} finally {
			child.kill('SIGKILL');
		}
		const lines = await status;
		// Of what it cannot decrypt gpg says nothing of signatures either.
		if (!lines.includes('[GNUPG:] DECRYPTION_OKAY')) {
			throw new TsdupError(`GnuPG cannot check its signature: ${lastLine(await stderr)}`);
		}
		return new Set(
			Array.from(lines.matchAll(/^\[GNUPG:\] VALIDSIG ([0-9A-F]+) /gm), ([, hex]) => String(hex)),
		);
	} finally {
		await reader.close();
	}
}

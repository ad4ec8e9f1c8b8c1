/** Whether an object is signed by whom it should be. */
import type { SetObject } from '../collection/backup-set.js';
import { SignatureError } from '../errors.js';
import type { Opener } from '../openpgp/opener.js';
import { type SignerKey, signedBy } from '../openpgp/signed-by.js';
import type { Target } from '../target/target.js';

/** @throws SignatureError; KeyError, TargetError; TsdupError when gpg cannot run */
export async function requireSigned(
	{ name }: SetObject,
	{ id, fingerprints, gpg }: SignerKey,
	{ target, opener }: { target: Target; opener: Pick<Opener, 'sessionKey'> },
): Promise<void> {
	const found = await signedBy(target.stream(name), opener, gpg);
	if (fingerprints.some((fingerprint) => found.has(fingerprint))) return;
	const others =
		found.size > 0 ? `it is by ${[...found].join(', ')}` : 'it has no signature that GnuPG finds good';
	throw new SignatureError(`${name} is not signed by ${id}: ${others}`);
}

/**
 * OpenPGP.js, for keys. It is loaded when there is a key to work with: that takes a tenth of a second, and who has only a
 * passphrase does without.
 */
import type * as openpgp from 'openpgp';

export interface OpenpgpJs {
	readonly openpgp: typeof openpgp;
	/** OpenPGP.js refuses some keys that gpg takes, such as ElGamal; whoever has such a key still needs the backups. */
	readonly keyPolicy: openpgp.Config;
}

export async function loadOpenpgpJs(): Promise<OpenpgpJs> {
	const openpgp = await import('openpgp');
	const keyPolicy = {
		...openpgp.config,
		rejectPublicKeyAlgorithms: new Set<openpgp.enums.publicKey>(),
		rejectCurves: new Set<openpgp.enums.curve>(),
		minRSABits: 1024,
	};
	return { openpgp, keyPolicy };
}

/** The packet that lets a secret key open a message (PKESK version 3, tag 1; RFC 9580 5.1). Used by the Opener. */
import type * as openpgp from 'openpgp';
import { loadOpenpgpJs } from './openpgp-js.js';
import type { SessionKey } from './session-key.js';

/**
 * What OpenPGP.js keeps of a PKESK packet, which its types leave out. Its public `decryptSessionKeys` is no use here: it
 * refuses ciphers that the key does not prefer, and asks an expired key for no preference at all; and old backups have both.
 */
interface PkeskPacket {
	readonly publicKeyID: openpgp.KeyID;
	readonly sessionKeyAlgorithm: number;
	readonly sessionKey: Uint8Array;
	decrypt(keyPacket: openpgp.SecretKeyPacket | openpgp.SecretSubkeyPacket): Promise<void>;
}

/**
 * The session key in a PKESK packet that OpenPGP.js read, or null when `key`, unlocked, does not open it; `failed` is told
 * why.
 */
export async function openPkesk(
	parsed: openpgp.AnyPacket,
	key: openpgp.PrivateKey,
	failed: (why: string) => void,
): Promise<SessionKey | null> {
	// The class is the one described above, of which the types declare nothing but `decrypt`, and that private.
	const packet = parsed as unknown as PkeskPacket;
	const { keyPolicy } = await loadOpenpgpJs();
	// Without a date: an expired key still opens what was encrypted to it.
	const parts = await key.getDecryptionKeys(packet.publicKeyID, null, undefined, keyPolicy).catch((cause) => {
		// Also when another recipient is meant, of whom nobody here has the key.
		failed((cause as Error).message);
		return [];
	});
	for (const { keyPacket } of parts) {
		try {
			await packet.decrypt(keyPacket as openpgp.SecretKeyPacket | openpgp.SecretSubkeyPacket);
			return { algorithm: packet.sessionKeyAlgorithm, key: Buffer.from(packet.sessionKey) };
		} catch (cause) {
			failed((cause as Error).message);
		}
	}
	return null;
}

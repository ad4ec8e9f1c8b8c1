/** A run of GnuPG that signs what it is given bit by bit. Used by signer.ts. */
import { buffer } from 'node:stream/consumers';
import { KeyError } from '../errors.js';
import { type Gpg, lastLine } from './gpg.js';

/** One signature in the making. */
export interface Signing {
	/** Resolves when `content` may be changed again. */
	write(content: Buffer): Promise<void>;
	/** The signature packet over all that was written. @throws KeyError when gpg cannot sign, or signs otherwise than at first */
	finish(): Promise<Buffer>;
	/** Safe at any time. */
	abort(): void;
}

/**
 * `finish` gives a binary signature, of a binary document, alone.
 * @param id of the key, as gpg takes one
 */
export function detachedSignature(gpg: Gpg, id: string, passphrase?: string): Signing {
	const { child, ended, stderr } = gpg.start(['--local-user', id, '--detach-sign'], passphrase);
	const signature = buffer(child.stdout);
	signature.catch(() => {});
	// gpg may end early; why is in its own words, which `finish` passes on.
	child.stdin.on('error', () => {});
	return {
		write: (content) =>
			new Promise((resolve) => {
				child.stdin.write(content, () => resolve());
			}),
		async finish() {
			child.stdin.end();
			const code = await ended;
			if (code === 0) return signature;
			throw new KeyError(
				`GnuPG cannot sign with key ${id}: ${lastLine(await stderr)}. Its passphrase is GPG_PW_SIGN in the profile, or else GPG_PW; ` +
					`GPG_KEY_SIGN='disabled' is for backups without signatures.`,
			);
		},
		abort() {
			child.stdin.destroy();
			child.kill('SIGKILL');
		},
	};
}

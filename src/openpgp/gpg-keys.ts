/** What the user's GnuPG keyring holds, what goes in and what comes out, in ASCII armour. Used for the keys of profiles. */
import { KeyError } from '../errors.js';
import { type Gpg, lastLine } from './gpg.js';

const NOTHING = Buffer.alloc(0);

/** Whether gpg has a key for this id. @throws TsdupError when gpg cannot run */
export async function hasKey(gpg: Gpg, id: string, kind: 'public' | 'secret'): Promise<boolean> {
	const { code } = await gpg.run([`--list-${kind === 'public' ? 'keys' : 'secret-keys'}`, '--', id], NOTHING);
	return code === 0;
}

/** Fingerprints (hex, upper case) of a key and its subkeys; none when gpg has no such key. @throws TsdupError when gpg cannot run */
export async function fingerprints(gpg: Gpg, id: string): Promise<string[]> {
	const args = ['--with-colons', '--fingerprint', '--fingerprint', '--list-keys', '--', id];
	const { code, stdout } = await gpg.run(args, NOTHING);
	if (code !== 0) return [];
	return Array.from(stdout.toString('latin1').matchAll(/^fpr:(?:[^:]*:){8}([0-9A-F]+):/gm), ([, hex]) =>
		String(hex),
	);
}

/** @param passphrase of the secret key. @throws KeyError with gpg's reason */
export async function exportKey(
	gpg: Gpg,
	id: string,
	kind: 'public' | 'secret',
	passphrase?: string,
): Promise<Buffer> {
	const command = kind === 'public' ? '--export' : '--export-secret-keys';
	const { stdout, stderr } = await gpg.run(['--armor', command, '--', id], NOTHING, passphrase);
	if (stdout.length > 0) return stdout;
	throw new KeyError(`GnuPG does not export the ${kind} key ${id}: ${lastLine(stderr)}`);
}

/** @throws KeyError with gpg's reason */
export async function importKey(gpg: Gpg, armored: Buffer): Promise<void> {
	const { code, stderr } = await gpg.run(['--import'], armored);
	if (code !== 0) throw new KeyError(`GnuPG does not import a key of the profile: ${lastLine(stderr)}`);
}

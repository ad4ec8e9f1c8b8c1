/**
 * Finds keys where duply has them: in the user's GnuPG keyring and in the profile's exported `gpgkey.*.asc` files. The
 * caller hands the public ones to an Encryptor and the secret ones to an Opener.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type * as openpgp from 'openpgp';
import { KeyError } from '../errors.js';
import type { Gpg } from './gpg.js';
import { loadOpenpgpJs } from './openpgp-js.js';

/**
 * One key that can encrypt for each id, in the order of `ids`, none twice. An id is 8, 16 or 40 hex digits of a key or
 * subkey (with or without 0x), or part of a user id, such as an e-mail address. Of several that fit, the newest is taken.
 * @throws KeyError naming the first id for which there is no key, or none that can encrypt
 */
export async function findPublicKeys(
	ids: readonly string[],
	profileDir: string | undefined,
	gpg: Gpg,
): Promise<openpgp.PublicKey[]> {
	const profile = await profileKeys(profileDir);
	const found = new Map<string, openpgp.PublicKey>();
	for (const id of ids) {
		const key = await findPublicKey(id, profileDir, profile, gpg);
		found.set(key.getFingerprint(), key);
	}
	return [...found.values()];
}

/** The secret keys in the profile's files, still locked; none when there is no profile. @throws KeyError */
export async function readSecretKeys(profileDir: string | undefined): Promise<openpgp.PrivateKey[]> {
	const { keys } = await profileKeys(profileDir);
	return keys.filter((key): key is openpgp.PrivateKey => key.isPrivate());
}

async function findPublicKey(
	id: string,
	profileDir: string | undefined,
	profile: ProfileKeys,
	gpg: Gpg,
): Promise<openpgp.PublicKey> {
	// gpg would take an empty id for "all keys".
	if (id.trim() === '') throw new KeyError('An empty key id: check GPG_KEY and GPG_KEYS_ENC in the profile.');
	const notes = [...profile.notes];
	const candidates = new Map<string, openpgp.PublicKey>();
	for (const key of [...(await keyringKeys(id, gpg, notes)), ...profile.keys.filter((k) => fits(k, id))]) {
		const known = candidates.get(key.getFingerprint());
		// Either copy may be the newer one: only both together know of every revocation and extension.
		candidates.set(key.getFingerprint(), known ? await known.update(key.toPublic()) : key.toPublic());
	}

	const { keyPolicy } = await loadOpenpgpJs();
	const usable: openpgp.PublicKey[] = [];
	for (const key of candidates.values()) {
		try {
			await key.getEncryptionKey(undefined, undefined, undefined, keyPolicy);
			usable.push(key);
		} catch (cause) {
			notes.push(`${describe(key)}: ${(cause as Error).message}`);
		}
	}
	const [newest] = usable.sort((a, b) => b.getCreationTime().getTime() - a.getCreationTime().getTime());
	if (newest) return newest;
	const reasons = notes.map((note) => `\n  ${note}`).join('');
	if (candidates.size > 0) throw new KeyError(`Key ${id} cannot be used to encrypt.${reasons}`);
	const files =
		profileDir === undefined ? 'no profile folder was given' : `not in ${profileDir}/gpgkey.*.asc`;
	throw new KeyError(
		`No public key for ${id}: not in the GnuPG keyring, ${files}. Import or export it there.${reasons}`,
	);
}

async function keyringKeys(id: string, gpg: Gpg, notes: string[]): Promise<openpgp.Key[]> {
	try {
		const binaryKeys = await gpg.exportPublic(id);
		if (binaryKeys.length === 0) return [];
		const { openpgp } = await loadOpenpgpJs();
		return await openpgp.readKeys({ binaryKeys });
	} catch (cause) {
		// The profile may have the key all the same; if not, this is part of the reason.
		notes.push(`GnuPG keyring: ${(cause as Error).message}`);
		return [];
	}
}

interface ProfileKeys {
	readonly keys: openpgp.Key[];
	/** What could not be read there: one sentence each. */
	readonly notes: string[];
}

async function profileKeys(profileDir: string | undefined): Promise<ProfileKeys> {
	const keys: openpgp.Key[] = [];
	const notes: string[] = [];
	if (profileDir === undefined) return { keys, notes };
	for (const name of (await readdir(profileDir)).sort()) {
		if (!name.startsWith('gpgkey.') || !name.endsWith('.asc')) continue;
		const path = join(profileDir, name);
		try {
			const text = await readFile(path, 'latin1');
			const blocks = /-----BEGIN PGP (PUBLIC|PRIVATE) KEY BLOCK-----[\s\S]*?-----END PGP \1 KEY BLOCK-----/g;
			for (const [armoredKeys] of text.matchAll(blocks)) {
				const { openpgp } = await loadOpenpgpJs();
				keys.push(...(await openpgp.readKeys({ armoredKeys })));
			}
		} catch (cause) {
			// A secret key that lives on a card is exported in a form that cannot be read; its public key is in another file.
			notes.push(`${path}: ${(cause as Error).message}`);
		}
	}
	return { keys, notes };
}

/** Whether an id, as gpg takes one, means this key. */
function fits(key: openpgp.Key, id: string): boolean {
	const hex = /^(?:0x)?([0-9a-f]{8}|[0-9a-f]{16}|[0-9a-f]{40})$/i.exec(id)?.[1]?.toLowerCase();
	if (hex !== undefined) return key.getKeys().some((part) => part.getFingerprint().endsWith(hex));
	return key.getUserIDs().some((userId) => userId.toLowerCase().includes(id.toLowerCase()));
}

function describe(key: openpgp.Key): string {
	return `${key.getKeyID().toHex().toUpperCase()} ${key.getUserIDs()[0] ?? ''}`.trim();
}

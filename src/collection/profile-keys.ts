/**
 * The keys of a profile and the user's GnuPG keyring, kept in step as duply does: a profile that is copied to a new machine
 * brings its keys along. Called when a backup begins (import) and has ended (export).
 */
import { chmod, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TsdupError } from '../errors.js';
import type { Gpg } from '../openpgp/gpg.js';
import { exportKey, hasKey, importKey } from '../openpgp/gpg-keys.js';

export interface ProfileKey {
	/** As the conf has it. */
	readonly id: string;
	/** Of the secret key. */
	readonly passphrase?: string | undefined;
}

type Kind = 'public' | 'secret';
const kinds: readonly Kind[] = ['public', 'secret'];
const suffixes = { public: 'pub', secret: 'sec' } as const;

/**
 * Imports from the profile's `gpgkey.ID.pub.asc` and `gpgkey.ID.sec.asc` what the keyring lacks.
 * @returns one sentence for each
 * @throws KeyError when gpg refuses one
 */
export async function importProfileKeys(
	dir: string,
	keys: readonly ProfileKey[],
	gpg: Gpg,
): Promise<string[]> {
	const files = new Set(await readdir(dir));
	const done: string[] = [];
	for (const { id } of keys) {
		for (const kind of kinds) {
			const file = [keyFile(id, kind), `gpgkey.${safe(id)}.asc`, 'gpgkey.asc'].find((name) =>
				files.has(name),
			);
			if (file === undefined || (await hasKey(gpg, id, kind))) continue;
			await importKey(gpg, await readFile(join(dir, file)));
			// An old profile's one file need not have it.
			if (await hasKey(gpg, id, kind))
				done.push(`The ${kind} key ${id} was imported into GnuPG's keyring from ${join(dir, file)}`);
		}
	}
	return done;
}

/**
 * Exports into the profile what it lacks. A secret key that is not in the keyring is not missed: a host that only makes
 * backups need not have it.
 * @returns one sentence for each that was, or could not be
 * @throws TsdupError when gpg cannot run
 */
export async function exportProfileKeys(
	dir: string,
	keys: readonly ProfileKey[],
	gpg: Gpg,
): Promise<string[]> {
	const files = new Set(await readdir(dir));
	const exported: string[] = [];
	const failed: string[] = [];
	for (const { id, passphrase } of keys) {
		for (const kind of kinds) {
			const name = keyFile(id, kind);
			if (files.has(name) || !(await hasKey(gpg, id, kind))) continue;
			files.add(name);
			try {
				await save(join(dir, name), await exportKey(gpg, id, kind, passphrase));
				exported.push(name);
			} catch (error) {
				if (!(error instanceof TsdupError)) throw error;
				failed.push(`${error.message}. Keep a copy of it elsewhere: without it the backup cannot be read.`);
			}
		}
	}
	if (exported.length === 0) return failed;
	const names = exported.join(', ');
	return [
		...failed,
		`Exported into ${dir}: ${names}. Copy the whole folder to a safe place: with it the backup can be read anywhere.`,
	];
}

/** As duply names it. */
function keyFile(id: string, kind: Kind): string {
	return `gpgkey.${safe(id)}.${suffixes[kind]}.asc`;
}

function safe(id: string): string {
	return id.trim().replaceAll(/[^A-Za-z0-9]/g, '_');
}

async function save(path: string, armored: Buffer): Promise<void> {
	const unfinished = `${path}.unfinished`;
	await writeFile(unfinished, armored, { mode: 0o600 });
	await chmod(unfinished, 0o600);
	await rename(unfinished, path);
}

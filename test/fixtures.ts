/**
 * The collections in fixtures/ that duplicity wrote, with the trees that stock restores from them, and what tests do with
 * any foreign collection: mount it and compare every snapshot.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Request } from '../src/target/recording.js';
import type { Sandbox } from './cli.js';
import { tsdup } from './cli.js';
import { assertSameTree, describeTree, type TreeEntry } from './tree.js';

/** Of the secret keys, too; the ECC key has none. */
export const PASSPHRASE = 'fixture-passphrase';

/** Set n of each collection is of this time and n days, seconds. */
const FIRST = 1_700_000_000;

/** The fixtures stand beside the sources, not beside what is compiled. */
const FIXTURES = fileURLToPath(new URL('../../test/fixtures', import.meta.url));

/** @returns the folder that the collection is unpacked in, in the sandbox */
export function unpack({ dir }: Sandbox, name: string): string {
	const folder = join(dir, name);
	if (!existsSync(folder)) execFileSync('tar', ['-xzf', join(FIXTURES, `${name}.tar.gz`), '-C', dir]);
	return folder;
}

/** All secret keys into the sandbox's keyring. */
export function importKeys({ env }: Sandbox): void {
	execFileSync('gpg', ['--batch', '--quiet', '--import', join(FIXTURES, 'keys/secret.asc')], { env });
}

/** As duply exports it into a profile. */
export function copySecretKey(key: 'rsa' | 'ecc', id: string, profile: string): void {
	copyFileSync(join(FIXTURES, `keys/${key}.secret.asc`), join(profile, `gpgkey.${id}.sec.asc`));
}

interface ExpectedLine {
	path_b64: string;
	type: TreeEntry['type'];
	mode?: string;
	uid: number;
	gid: number;
	mtime?: number;
	size?: number;
	sha256?: string;
	link_b64?: string;
	dev?: [number, number];
}

/** What stock restores of a step of a tree; symlinks have no times. */
export function expectedTree(kind: string, step: number): TreeEntry[] {
	const lines = readFileSync(join(FIXTURES, `expected/${kind}-${step}.jsonl`), 'utf8').split('\n');
	return lines.filter(Boolean).map((line) => {
		const entry = JSON.parse(line) as ExpectedLine;
		const bytes = (base64 = '') => Buffer.from(base64, 'base64').toString('latin1');
		const link = bytes(entry.link_b64);
		return {
			path: bytes(entry.path_b64),
			type: entry.type,
			mode: entry.mode ? Number.parseInt(entry.mode, 8).toString(8) : '',
			uid: entry.uid,
			gid: entry.gid,
			mtime: entry.mtime ?? 0,
			size: entry.type === 'symlink' ? link.length : (entry.size ?? 0),
			sha256: entry.sha256 ?? '',
			link,
			device: entry.dev?.join(',') ?? '',
		};
	});
}

/** The folder of a fixture's step: there is one a day. The sandbox's zone must be UTC. */
export function dayOf(step: number): string {
	return new Date((FIRST + step * 86_400) * 1000).toISOString().slice(0, 10);
}

export interface Mounted {
	/** The mountpoint. */
	readonly at: string;
	/** What the command wrote to stderr. */
	readonly stderr: string;
	umount(): Promise<void>;
}

/** @param options of `tsdup mount`: which profile or target */
export async function mount({ dir, env }: Sandbox, ...options: string[]): Promise<Mounted> {
	const at = mkdtempSync(join(dir, 'mnt-'));
	const { code, stderr } = await tsdup(['mount', ...options, at], { env });
	assert.equal(code, 0, stderr);
	return {
		at,
		stderr,
		umount: async () => {
			const ended = await tsdup(['umount', at], { env });
			assert.equal(ended.code, 0, ended.stderr);
		},
	};
}

/** The mount has these steps of a tree and no others, each as stock restores it. */
export function assertShows({ at }: Mounted, kind: string, steps: readonly number[]): void {
	assert.deepEqual(readdirSync(at).sort(), [...steps.map(dayOf), 'latest']);
	for (const step of steps) assertShowsStep(at, kind, step);
}

/** @param leaveOut paths that are not looked at, with all below them */
export function assertShowsStep(at: string, kind: string, step: number, leaveOut: string[] = []): void {
	const expected = expectedTree(kind, step).filter(({ path }) => !leaveOut.includes(path));
	const tree = describeTree(Buffer.from(join(at, dayOf(step))), { leaveOut });
	assertSameTree(tree, expected, `${kind} ${step}`, { symlinkTimes: false });
}

export function removeCaches({ env }: Sandbox): void {
	rmSync(join(env.XDG_CACHE_HOME as string, 'tsdup'), { recursive: true });
}

/** Every request so far that the sandbox's TSDUP_TRACE has. */
export function requests({ env }: Sandbox): Request[] {
	const path = env.TSDUP_TRACE as string;
	if (!existsSync(path)) return [];
	const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean);
	return lines.map((line) => JSON.parse(line) as Request);
}

/** What gpg's status lines and messages tell of an object that it decrypts, signatures included. */
export function gpgSays({ env }: Sandbox, path: string, passphrase: string): string {
	const loopback = ['--batch', '--pinentry-mode', 'loopback', '--passphrase', passphrase];
	const args = [...loopback, '--status-fd', '2', '--output', '/dev/null', '--decrypt', path];
	const { status, stderr } = spawnSync('gpg', args, { env, encoding: 'utf8' });
	assert.equal(status, 0, stderr);
	return stderr;
}

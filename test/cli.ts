/**
 * For tests that go through the command line: the real programs as child processes, in a home of their own, so that
 * nothing of this machine leaks in or out.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('./tsdup.js', import.meta.url));

const NOBODY = 65534;

export interface Sandbox {
	/** A temporary folder; everything below is in it. */
	readonly dir: string;
	readonly env: NodeJS.ProcessEnv;
	/** Unmounts what is mounted in it, ends its gpg-agent and removes it. */
	remove(): void;
}

export interface Ended {
	/** 128 + the signal's number after a signal, as shells have it. */
	readonly code: number;
	readonly stdout: string;
	readonly stderr: string;
}

export function sandbox(): Sandbox {
	const dir = mkdtempSync(join(tmpdir(), 'tsdup-cli-'));
	const { PATH, LANG, TZ } = process.env;
	const env: NodeJS.ProcessEnv = {
		PATH,
		LANG,
		TZ,
		HOME: join(dir, 'home'),
		XDG_CACHE_HOME: join(dir, 'cache'),
		TSDUP_PROFILES: join(dir, 'profiles'),
		GNUPGHOME: join(dir, 'gnupg'),
		TMPDIR: join(dir, 'tmp'),
	};
	for (const name of ['home', 'cache', 'profiles', 'gnupg', 'tmp'])
		mkdirSync(join(dir, name), { mode: 0o700 });
	const remove = () => {
		const mounts = readFileSync('/proc/self/mounts', 'latin1').split('\n');
		for (const line of mounts.reverse()) {
			const [, mountpoint] = line.split(' ');
			if (mountpoint?.startsWith(`${dir}/`)) execFileSync('fusermount', ['-uz', '--', mountpoint]);
		}
		execFileSync('gpgconf', ['--kill', 'all'], { env, stdio: 'ignore' });
		rmSync(dir, { recursive: true, force: true });
	};
	return { dir, env, remove };
}

/** @returns the profile's folder */
export function profile({ env }: Sandbox, name: string, conf: string): string {
	const dir = join(env.TSDUP_PROFILES as string, name);
	mkdirSync(dir, { recursive: true, mode: 0o700 });
	writeFileSync(join(dir, 'conf'), conf, { mode: 0o600 });
	chmodSync(dir, 0o700);
	return dir;
}

/** Makes `tsdup` a command in the sandbox. */
export function putOnPath({ dir, env }: Sandbox): void {
	mkdirSync(join(dir, 'bin'));
	writeFileSync(join(dir, 'bin/tsdup'), `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`, {
		mode: 0o755,
	});
	env.PATH = `${join(dir, 'bin')}:${env.PATH}`;
}

/** One whose source is a folder with a file, and whose target is another folder. @returns the profile's folder */
export function smallProfile(box: Sandbox, name: string): string {
	const source = join(box.dir, 'source');
	mkdirSync(source, { recursive: true });
	writeFileSync(join(source, 'file'), 'content\n');
	const passphrase = 'a passphrase that is long enough';
	return profile(
		box,
		name,
		`SOURCE='${source}'\nTARGET='file://${box.dir}/target'\nGPG_PW='${passphrase}'\n`,
	);
}

export function tsdup(args: readonly string[], { env }: { env: NodeJS.ProcessEnv }): Promise<Ended> {
	return ended(startTsdup(args, { env }));
}

/** As `tsdup`, for tests that do something to the process. */
export function startTsdup(args: readonly string[], { env }: { env: NodeJS.ProcessEnv }): ChildProcess {
	return spawn(process.execPath, [MAIN, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** As a user who may not read everything, to whom all of the sandbox is given. */
export function tsdupAsNobody(args: readonly string[], { dir, env }: Sandbox): Promise<Ended> {
	if (process.getuid?.() !== 0) return tsdup(args, { env });
	// What is theirs already keeps its ctime.
	const others = [dir, '(', '!', '-uid', `${NOBODY}`, '-o', '!', '-gid', `${NOBODY}`, ')'];
	execFileSync('find', [...others, '-exec', 'chown', '-h', `${NOBODY}:${NOBODY}`, '{}', '+']);
	const ids = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
	const stdio: ['ignore', 'pipe', 'pipe'] = ['ignore', 'pipe', 'pipe'];
	return ended(spawn('setpriv', [...ids, process.execPath, MAIN, ...args], { env, stdio }));
}

/** Stock duplicity; its archive folder is in HOME, its passphrase PASSPHRASE. */
export function duplicity(args: readonly string[], { env }: { env: NodeJS.ProcessEnv }): Promise<Ended> {
	return ended(spawn('duplicity', args, { env, stdio: ['ignore', 'pipe', 'pipe'] }));
}

/** Real duply. @param args the profile first */
export function duply(args: readonly string[], { env }: { env: NodeJS.ProcessEnv }): Promise<Ended> {
	return ended(spawn('duply', args, { env, stdio: ['ignore', 'pipe', 'pipe'] }));
}

export async function ended(child: ChildProcess): Promise<Ended> {
	const exit = new Promise<number>((resolve, reject) => {
		child.once('error', reject);
		child.once('close', (code, signal) => resolve(code ?? 128 + (signal === 'SIGKILL' ? 9 : 15)));
	});
	const [stdout, stderr] = [child.stdout, child.stderr].map((stream) =>
		stream ? buffer(stream).then(String) : Promise.resolve(''),
	) as [Promise<string>, Promise<string>];
	return { code: await exit, stdout: await stdout, stderr: await stderr };
}

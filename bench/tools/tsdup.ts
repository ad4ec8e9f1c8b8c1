/** tsdup, with a profile that sets nothing but where from, where to and the passphrase. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from '../run.js';
import {
	type Bucket,
	cleanEnvironment,
	type MountingTool,
	makeHome,
	PASSPHRASE,
	type ToolKind,
} from './tool.js';

export const SCRIPT = fileURLToPath(new URL('../../../bin/tsdup.js', import.meta.url));
const PROFILE = 'bench';

export const tsdup: ToolKind = {
	name: 'tsdup',
	package: null,
	version: [process.execPath, SCRIPT, '--version'],
	make: (dir, source) => new Tsdup(dir, source),
};

export class Tsdup implements MountingTool {
	readonly staysToServe = false;
	readonly name = tsdup.name;
	readonly target: string;
	readonly mountpoint: string;
	/** Holds a line of JSON for each request of the commands that were given it. */
	readonly trace: string;
	readonly #source: string;
	readonly #profiles: string;
	readonly #home: string;
	readonly #cache: string;
	readonly #bucket: Bucket | undefined;

	constructor(dir: string, source: string, bucket?: Bucket) {
		this.target = join(dir, 'target');
		this.mountpoint = join(dir, 'mnt');
		this.trace = join(dir, 'trace');
		this.#source = source;
		this.#bucket = bucket;
		this.#profiles = join(dir, 'profiles');
		this.#home = join(dir, 'home');
		this.#cache = join(dir, 'cache');
	}

	async prepare(): Promise<void> {
		await makeHome(this.#home);
		await mkdir(this.mountpoint);
		const profile = join(this.#profiles, PROFILE);
		await mkdir(profile, { recursive: true, mode: 0o700 });
		const conf = [`SOURCE='${this.#source}'`, `GPG_PW='${PASSPHRASE}'`, ...this.#where()].join('\n');
		await writeFile(join(profile, 'conf'), conf, { mode: 0o600 });
	}

	#where(): string[] {
		if (!this.#bucket) return [`TARGET='file://${this.target}'`];
		const { endpoint, name, accessKeyId, secretAccessKey } = this.#bucket;
		return [
			`TARGET='s3://${name}/tsdup'`,
			`TARGET_USER='${accessKeyId}'`,
			`TARGET_PASS='${secretAccessKey}'`,
			`DUPL_PARAMS='--s3-endpoint-url ${endpoint}'`,
		];
	}

	backup(): Command {
		return this.#command('backup', PROFILE);
	}

	async fetch(path: string, destination: string): Promise<Command> {
		await this.dropCaches();
		return this.#command('fetch', PROFILE, path, destination);
	}

	/** Requests to the target are traced. */
	mount(): Command {
		const command = this.#command('mount', '-p', PROFILE, this.mountpoint);
		return { ...command, env: { ...command.env, TSDUP_TRACE: this.trace } };
	}

	get newest(): string {
		return join(this.mountpoint, 'latest');
	}

	restore(destination: string): Command {
		return this.#command('restore', PROFILE, destination);
	}

	umount(): Command {
		return this.#command('umount', this.mountpoint);
	}

	/** The index and all that was read from the target. */
	async dropCaches(): Promise<void> {
		await rm(this.#cache, { recursive: true, force: true });
	}

	async close(): Promise<void> {}

	#command(...args: string[]): Command {
		const env = {
			...cleanEnvironment(this.#home),
			TSDUP_PROFILES: this.#profiles,
			XDG_CACHE_HOME: this.#cache,
		};
		return { program: process.execPath, args: [SCRIPT, ...args], env };
	}
}

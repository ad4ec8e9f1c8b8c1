/** borg with its key in the repository and zstd, as its manual advises. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, run } from '../run.js';
import { cleanEnvironment, type MountingTool, makeHome, PASSPHRASE, type ToolKind } from './tool.js';

export const borg: ToolKind = {
	name: 'borg',
	package: 'borgbackup',
	version: ['borg', '--version'],
	make: (dir, source) => new Borg(dir, source),
};

class Borg implements MountingTool {
	readonly name = borg.name;
	readonly target: string;
	readonly mountpoint: string;
	readonly staysToServe = false;
	readonly #source: string;
	readonly #home: string;
	readonly #cache: string;
	#newest = '';

	constructor(dir: string, source: string) {
		this.target = join(dir, 'target');
		this.mountpoint = join(dir, 'mnt');
		this.#source = source;
		this.#home = join(dir, 'home');
		this.#cache = join(dir, 'cache');
	}

	async prepare(): Promise<void> {
		await makeHome(this.#home);
		await mkdir(this.mountpoint);
		const { program, args, env } = this.#command('init', '--encryption', 'repokey');
		await run(program, args, env);
	}

	backup(label: string): Command {
		this.#newest = label;
		return { ...this.#command('create', '--compression', 'zstd,3', `::${label}`, '.'), cwd: this.#source };
	}

	async fetch(path: string, destination: string): Promise<Command> {
		await rm(this.#cache, { recursive: true, force: true });
		return { ...this.#command('extract', '--stdout', `::${this.#newest}`, path), stdout: destination };
	}

	get newest(): string {
		return this.mountpoint;
	}

	mount(): Command {
		return this.#command('mount', `::${this.#newest}`, this.mountpoint);
	}

	umount(): Command {
		return this.#command('umount', this.mountpoint);
	}

	restore(destination: string): Command {
		return { ...this.#command('extract', `::${this.#newest}`), cwd: destination };
	}

	async close(): Promise<void> {}

	#command(...args: string[]): Command {
		const env = {
			...cleanEnvironment(this.#home),
			BORG_PASSPHRASE: PASSPHRASE,
			BORG_REPO: this.target,
			BORG_BASE_DIR: this.#home,
			BORG_CACHE_DIR: this.#cache,
		};
		return { program: 'borg', args, env };
	}
}

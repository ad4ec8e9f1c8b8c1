/** restic as it comes: its repositories are always encrypted, and compressed with zstd by default. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, run } from '../run.js';
import { cleanEnvironment, makeHome, PASSPHRASE, type Tool, type ToolKind } from './tool.js';

export const restic: ToolKind = {
	name: 'restic',
	package: 'restic',
	version: ['restic', 'version'],
	make: (dir, source) => new Restic(dir, source),
};

class Restic implements Tool {
	readonly name = restic.name;
	readonly target: string;
	readonly #source: string;
	readonly #home: string;
	readonly #cache: string;

	constructor(dir: string, source: string) {
		this.target = join(dir, 'target');
		this.#source = source;
		this.#home = join(dir, 'home');
		this.#cache = join(dir, 'cache');
	}

	async prepare(): Promise<void> {
		await makeHome(this.#home);
		const { program, args, env } = this.#command('init');
		await run(program, args, env);
	}

	backup(): Command {
		return this.#command('backup', this.#source);
	}

	async fetch(path: string, destination: string): Promise<Command> {
		await rm(this.#cache, { recursive: true, force: true });
		return { ...this.#command('dump', 'latest', join(this.#source, path)), stdout: destination };
	}

	async close(): Promise<void> {}

	#command(...args: string[]): Command {
		const env = {
			...cleanEnvironment(this.#home),
			RESTIC_PASSWORD: PASSPHRASE,
			RESTIC_REPOSITORY: this.target,
			RESTIC_CACHE_DIR: this.#cache,
		};
		return { program: 'restic', args, env };
	}
}

/** restic as it comes: its repositories are always encrypted, and compressed with zstd by default. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, run } from '../run.js';
import {
	type Bucket,
	cleanEnvironment,
	type MountingTool,
	makeHome,
	PASSPHRASE,
	type ToolKind,
} from './tool.js';

export const restic: ToolKind = {
	name: 'restic',
	package: 'restic',
	version: ['restic', 'version'],
	make: (dir, source) => new Restic(dir, source),
};

export class Restic implements MountingTool {
	readonly name = restic.name;
	readonly target: string;
	readonly mountpoint: string;
	readonly staysToServe = true;
	readonly #source: string;
	readonly #home: string;
	readonly #cache: string;
	readonly #bucket: Bucket | undefined;

	constructor(dir: string, source: string, bucket?: Bucket) {
		this.target = join(dir, 'target');
		this.mountpoint = join(dir, 'mnt');
		this.#source = source;
		this.#bucket = bucket;
		this.#home = join(dir, 'home');
		this.#cache = join(dir, 'cache');
	}

	async prepare(): Promise<void> {
		await makeHome(this.#home);
		await mkdir(this.mountpoint);
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

	get newest(): string {
		return join(this.mountpoint, 'snapshots/latest', this.#source);
	}

	mount(): Command {
		return this.#command('mount', this.mountpoint);
	}

	umount(): Command {
		return { program: 'fusermount3', args: ['-u', this.mountpoint], env: cleanEnvironment(this.#home) };
	}

	restore(destination: string): Command {
		return this.#command('restore', 'latest', '--target', destination);
	}

	async close(): Promise<void> {}

	#command(...args: string[]): Command {
		const { endpoint, name, accessKeyId, secretAccessKey } = this.#bucket ?? {};
		const env = {
			...cleanEnvironment(this.#home),
			RESTIC_PASSWORD: PASSPHRASE,
			RESTIC_REPOSITORY: endpoint ? `s3:${endpoint}/${name}/restic` : this.target,
			RESTIC_CACHE_DIR: this.#cache,
			AWS_ACCESS_KEY_ID: accessKeyId,
			AWS_SECRET_ACCESS_KEY: secretAccessKey,
		};
		return { program: 'restic', args, env };
	}
}

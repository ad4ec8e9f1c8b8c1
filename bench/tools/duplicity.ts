/** duplicity with a passphrase and its defaults: volumes of 200 MB, gpg's own compression. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, run } from '../run.js';
import { cleanEnvironment, makeHome, PASSPHRASE, type Tool, type ToolKind } from './tool.js';

export const duplicity: ToolKind = {
	name: 'duplicity',
	package: 'duplicity',
	version: ['duplicity', '--version'],
	make: (dir, source) => new Duplicity(dir, source),
};

class Duplicity implements Tool {
	readonly name = duplicity.name;
	readonly target: string;
	readonly #source: string;
	readonly #home: string;
	readonly #archive: string;

	constructor(dir: string, source: string) {
		this.target = join(dir, 'target');
		this.#source = source;
		this.#home = join(dir, 'home');
		this.#archive = join(dir, 'archive');
	}

	async prepare(): Promise<void> {
		await makeHome(this.#home);
		await mkdir(this.target);
	}

	backup(): Command {
		return this.#command(this.#source, `file://${this.target}`);
	}

	async fetch(path: string, destination: string): Promise<Command> {
		await rm(this.#archive, { recursive: true, force: true });
		return this.#command('restore', '--file-to-restore', path, `file://${this.target}`, destination);
	}

	async close(): Promise<void> {
		await run('gpgconf', ['--homedir', join(this.#home, '.gnupg'), '--kill', 'all']);
	}

	#command(...args: string[]): Command {
		const env = { ...cleanEnvironment(this.#home), PASSPHRASE };
		return { program: 'duplicity', args: ['--archive-dir', this.#archive, ...args], env };
	}
}

/**
 * What a collection costs that duplicity wrote: tsdup's mount beside duplicity's own commands, both from nothing. Results go to
 * memory, where there is some: this is not about the disk.
 */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requireSame } from './folder.js';
import { type Command, measure, run } from './run.js';
import type { CaseName, Part } from './samples.js';
import { duplicity } from './tools/duplicity.js';
import { cleanEnvironment, makeHome, PASSPHRASE } from './tools/tool.js';
import { SCRIPT } from './tools/tsdup.js';
import { freshTree } from './tree.js';

/** Left out of the tree, and half of the image: 50,000 files of 1 GB are left. */
const LEFT_OUT = 'linux-source-6.1/drivers';

export async function measureForeign({ number, size, work, dir, record }: Part): Promise<void> {
	const tree = await freshTree(work, size, join(dir, 'source'), LEFT_OUT);
	await truncate(join(tree.root, tree.image.path), size.imageLength / 2);
	const tool = duplicity.make(join(dir, 'duplicity'), tree.root);
	await mkdir(join(dir, 'duplicity'));
	await tool.prepare();
	await measure(tool.backup('full'));
	const scratch = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'tsdup-bench-'));
	const foreign = new Foreign(tool.target, dir, scratch);
	const note = (caseName: CaseName, tool: string, seconds: number) =>
		record({ caseName, tool, round: number, figures: { seconds } });
	try {
		await foreign.prepare();
		note('foreignNames', 'tsdup', await foreign.fromMount((at) => run('find', [at])));
		note('foreignNames', 'duplicity', await foreign.duplicity('list-current-files'));
		let next = 0;
		const cat = await foreign.fromMount(async (at) => {
			await run('cat', [join(at, tree.untouched.path)]);
			return async () => {
				const started = performance.now();
				await run('cat', [join(at, tree.edited.path)]);
				next = (performance.now() - started) / 1000;
				await requireSame(join(at, tree.edited.path), join(tree.root, tree.edited.path));
				await requireSame(join(at, tree.untouched.path), join(tree.root, tree.untouched.path));
			};
		});
		const one = await foreign.duplicity('restore', '--file-to-restore', tree.untouched.path);
		note('foreignCat', 'tsdup', cat);
		note('foreignCat', 'duplicity', one);
		note('foreignNext', 'tsdup', next);
		note('foreignNext', 'duplicity', one);
		const whole = await foreign.duplicity('restore');
		note('foreignSizes', 'tsdup', await foreign.fromMount((at) => run('ls', ['-lR', at])));
		note('foreignSizes', 'duplicity', whole);
		const copy = join(scratch, 'copy');
		const copied = await foreign.fromMount(async (at) => {
			await run('cp', ['-a', at, copy]);
			return async () => {
				await run('diff', ['-r', '--no-dereference', tree.root, copy]);
			};
		});
		note('foreignTree', 'tsdup', copied);
		note('foreignTree', 'duplicity', whole);
	} finally {
		await rm(scratch, { recursive: true });
		await tool.close();
	}
}

/** The collection, and how it is looked at. */
class Foreign {
	readonly #url: string;
	readonly #home: string;
	readonly #mountpoint: string;
	readonly #scratch: string;

	constructor(target: string, dir: string, scratch: string) {
		this.#url = `file://${target}`;
		this.#home = join(dir, 'home');
		this.#mountpoint = join(dir, 'mnt');
		this.#scratch = scratch;
	}

	async prepare(): Promise<void> {
		await makeHome(this.#home);
		await mkdir(this.#mountpoint);
	}

	/**
	 * Seconds from the mount command, with empty caches, until `act` has ended on the newest snapshot.
	 * @param act gives what is to be done, unmeasured, before it is unmounted
	 */
	async fromMount(act: (at: string) => Promise<unknown>): Promise<number> {
		await rm(join(this.#home, '.cache'), { recursive: true, force: true });
		const started = performance.now();
		await measure(this.#tsdup('mount', '--target', this.#url, this.#mountpoint));
		try {
			const [snapshot] = (await readdir(this.#mountpoint)).filter((name) => name !== 'latest');
			const rest = await act(join(this.#mountpoint, snapshot as string));
			const seconds = (performance.now() - started) / 1000;
			if (typeof rest === 'function') await rest();
			return seconds;
		} finally {
			await measure(this.#tsdup('umount', this.#mountpoint));
		}
	}

	/** Seconds of one of its commands, with an empty archive. */
	async duplicity(command: string, ...options: string[]): Promise<number> {
		const archive = join(this.#home, 'archive');
		const out = join(this.#scratch, 'restored');
		for (const path of [archive, out]) await rm(path, { recursive: true, force: true });
		const args = [command, '--archive-dir', archive, ...options, this.#url];
		if (command === 'restore') args.push(out);
		const { seconds } = await measure({ program: 'duplicity', args, env: this.#environment() });
		await rm(out, { recursive: true, force: true });
		return seconds;
	}

	#tsdup(...args: string[]): Command {
		return { program: process.execPath, args: [SCRIPT, ...args], env: this.#environment() };
	}

	#environment(): NodeJS.ProcessEnv {
		return { ...cleanEnvironment(this.#home), PASSPHRASE };
	}
}

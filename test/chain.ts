/**
 * A chain of backups made by the command line from a `ChainSource`, with what each snapshot must hold; and the checks
 * that it comes back: through the mount, through restore and fetch, and through stock duplicity, gpg and tar.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ChainSource, type Scale } from './chain-source.js';
import { type Ended, profile, type Sandbox, tsdup } from './cli.js';
import { type Snapshot, Stock, type StockAccess } from './stock.js';
import { assertSameAtRandomOffsets, assertSameTree, describeTree, seededRandom } from './tree.js';

export interface ChainOptions {
	readonly sandbox: Sandbox;
	/** Of the profile. */
	readonly name: string;
	/** Lines of conf besides SOURCE. */
	readonly conf: string;
	readonly scale: Scale;
	readonly stock: StockAccess;
}

/** The step at which the exclude list names a folder of the source. */
const EXCLUDED_AT = 6;

export class Chain {
	readonly sandbox: Sandbox;
	readonly name: string;
	readonly source: string;
	readonly snapshots: Snapshot[] = [];
	readonly stock: Stock;
	/** The host that reads; at first the one that backs up. Has a profile of the same name. */
	reader: Sandbox;
	readonly #profile: string;
	readonly #tree: ChainSource;

	constructor(options: ChainOptions) {
		this.sandbox = options.sandbox;
		this.reader = options.sandbox;
		this.name = options.name;
		this.stock = new Stock(this, options.stock);
		this.source = join(this.sandbox.dir, `source-${this.name}`);
		this.#profile = profile(this.sandbox, this.name, `SOURCE='${this.source}'\n${options.conf}\n`);
		this.#tree = new ChainSource(this.source, options.scale);
	}

	/** The full and all increments. */
	async build(): Promise<void> {
		for (let step = 0; step <= ChainSource.steps; step++) {
			this.#tree.apply(step);
			const excluded = step === EXCLUDED_AT;
			writeFileSync(join(this.#profile, 'exclude'), excluded ? `- ${this.source}/excluded\n` : '');
			await this.backup(step === 0 ? 'full' : 'inc', excluded ? ['excluded'] : []);
		}
		await this.awaitClock();
	}

	/** Runs within one second have set times ahead of the clock, and stock does not look into the future. */
	async awaitClock(): Promise<void> {
		const newest = this.snapshots.at(-1)?.time ?? 0;
		await sleep(Math.max(0, (newest + 1) * 1000 - Date.now()));
	}

	/** One backup of the source as it is. */
	async backup(kind: 'full' | 'inc', leaveOut: string[] = []): Promise<Ended> {
		const tree = describeTree(Buffer.from(this.source), { leaveOut });
		const ended = await succeed(['--json', 'backup', this.name], this.sandbox.env);
		const { summary } = JSON.parse(ended.stdout.trim().split('\n').at(-1) as string) as {
			summary: { set: { kind: string; time: string }; entries: number; warnings: number };
		};
		assert.equal(summary.set.kind, kind);
		assert.deepEqual([summary.entries, summary.warnings], [tree.length, 0]);
		const time =
			Date.parse(summary.set.time.replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5')) / 1000;
		assert.ok(time > (this.snapshots.at(-1)?.time ?? 0), 'set times increase');
		this.snapshots.push({ time, tree });
		return ended;
	}

	/** Volumes of all sets, as `tsdup status` counts them. */
	async volumes(): Promise<number> {
		const { stdout } = await succeed(['--json', 'status', this.name], this.reader.env);
		const lines = stdout
			.trim()
			.split('\n')
			.map((line) => JSON.parse(line) as { volumes?: number });
		return lines.reduce((sum, { volumes = 0 }) => sum + volumes, 0);
	}

	async mount(): Promise<Mount> {
		const { dir, env } = this.reader;
		const at = mkdtempSync(join(dir, 'mnt-'));
		await succeed(['mount', '-p', this.name, at], env);
		return { at, umount: async () => void (await succeed(['umount', at], env)) };
	}

	/**
	 * Every snapshot's folder holds what it should. With the snapshots restored in `references`, also reads at random
	 * offsets are compared, before any file was read from its beginning.
	 */
	assertMounted({ at }: Mount, references: ReadonlyMap<number, string> = new Map()): void {
		const random = seededRandom(15);
		this.snapshots.forEach((snapshot, i) => {
			const folder = Buffer.from(join(at, this.folderNames()[i] as string));
			const reference = references.get(i);
			if (reference) assertSameAtRandomOffsets(folder, Buffer.from(reference), snapshot.tree, random);
			assertSameTree(describeTree(folder), snapshot.tree, `snapshot ${i} in the mount`);
		});
	}

	/** Long names of the snapshots' folders, as `date` writes them. */
	folderNames(): string[] {
		return this.snapshots.map(({ time }) => this.#date(time, '%Y-%m-%d_%H-%M-%S'));
	}

	/** All of the chain is of one day, or of two when midnight was in between. */
	assertFolderNames({ at }: Mount): void {
		const days = this.snapshots.map(({ time }) => this.#date(time, '%Y-%m-%d'));
		const several = this.folderNames().filter((_, i) => days.filter((day) => day === days[i]).length > 1);
		assert.deepEqual(readdirSync(at).sort(), [...new Set(days), ...several, 'latest'].sort());
		const newest = this.snapshots.at(-1) as Snapshot;
		for (const name of ['latest', days.at(-1) as string]) {
			const top = readdirSync(join(at, name), { encoding: 'latin1' }).sort();
			const expected = newest.tree.filter(({ path }) => path !== '' && !path.includes('/'));
			assert.deepEqual(top, expected.map(({ path }) => path).sort(), name);
		}
		assert.equal(readlinkSync(join(at, 'latest')), days.at(-1));
	}

	/** `tsdup restore` gives each snapshot back with its metadata. */
	async assertRestores(): Promise<void> {
		for (const { time, tree } of this.snapshots) {
			const to = join(this.sandbox.dir, 'restored');
			await succeed(['restore', this.name, to, String(time)], this.reader.env);
			assertSameTree(describeTree(Buffer.from(to)), tree, `snapshot of ${time} restored`);
			rmSync(to, { recursive: true });
		}
	}

	/** `tsdup fetch` gives a file or folder back as it is in the snapshot of this number. */
	async assertFetches(path: string, number: number): Promise<void> {
		const { time, tree } = this.snapshots[number] as Snapshot;
		const to = join(this.sandbox.dir, 'fetched');
		await succeed(['fetch', this.name, path, to, String(time)], this.reader.env);
		const below = tree.filter((entry) => `${entry.path}/`.startsWith(`${path}/`));
		const relative = below.map((entry) => ({ ...entry, path: entry.path.slice(path.length + 1) }));
		assert.ok(relative.length > 0);
		assertSameTree(describeTree(Buffer.from(to)), relative, `${path} fetched`);
		rmSync(to, { recursive: true });
	}

	#date(time: number, format: string): string {
		const args = ['-d', `@${time}`, `+${format}`];
		return execFileSync('date', args, { env: this.reader.env }).toString().trim();
	}

	/**
	 * What stock and tsdup can do with every snapshot, with the local index and without.
	 * @param stockRestores numbers of the snapshots that stock restores; it takes long
	 */
	async assertComesBack(stockRestores?: readonly number[]): Promise<void> {
		await this.stock.assertStatus(await this.volumes());
		await this.stock.assertVerifies();
		for (const snapshot of this.snapshots) this.stock.assertLists(snapshot);
		const references = await this.stock.assertRestores(stockRestores);
		const mount = await this.mount();
		this.assertMounted(mount, references);
		this.assertFolderNames(mount);
		await mount.umount();
		await this.assertRestores();
		await this.assertMountsWithoutCache();
	}

	async assertMountsWithoutCache(): Promise<void> {
		rmSync(join(this.reader.env.XDG_CACHE_HOME as string, 'tsdup'), { recursive: true });
		const mount = await this.mount();
		this.assertMounted(mount);
		await mount.umount();
	}
}

export interface Mount {
	readonly at: string;
	umount(): Promise<void>;
}

/** @throws AssertionError with what it wrote, when the command fails or warns */
export async function succeed(args: readonly string[], env: NodeJS.ProcessEnv): Promise<Ended> {
	const ended = await tsdup(args, { env });
	assert.equal(ended.code, 0, `tsdup ${args.join(' ')}\n${ended.stdout}\n${ended.stderr}`);
	return ended;
}

/** Each volume in the folder can be opened with gpg, or gzip, and tar alone. @returns how many there are */
export function assertVolumesAreTars(folder: string, { env }: Sandbox, passphrase: string): number {
	const volumes = readdirSync(folder).filter((name) => name.includes('.difftar'));
	for (const name of volumes) {
		const gpg = 'gpg --batch --quiet --pinentry-mode loopback --passphrase-fd 3 --decrypt "$1" 3<<<"$P"';
		const open = name.endsWith('.gpg') ? gpg : 'gzip --decompress --stdout "$1"';
		const { status, stdout, stderr } = spawnSync(
			'bash',
			[
				'-c',
				`set -o pipefail; ${open} | tar --list --quoting-style=escape --warning=no-unknown-keyword`,
				'bash',
				join(folder, name),
			],
			{ env: { ...env, P: passphrase }, encoding: 'latin1', maxBuffer: 2 ** 28 },
		);
		assert.deepEqual([status, stderr], [0, ''], name);
		const kinds = /^((snapshot|diff|deleted|multivol_snapshot|multivol_diff)\/.*\n)*$/;
		assert.match(stdout, kinds, name);
	}
	return volumes.length;
}

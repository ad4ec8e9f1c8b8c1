/**
 * Verifies what a snapshot needs: each object of its chain is read whole, once, and checked against its digests. Then says which
 * files of the snapshot cannot be read, and, if asked to, what differs from the source. Nothing that is damaged ends it.
 */
import type { Chain } from '../collection/backup-set.js';
import { MissingObjectError, TargetError, TsdupError, UsageError } from '../errors.js';
import type { SnapshotSet } from '../index/entry.js';
import type { Index } from '../index/index.js';
import { coverage, forgetVerified, lastVerified, noteVerified } from '../index/verified.js';
import type { Opener } from '../openpgp/opener.js';
import type { SignerKey } from '../openpgp/signed-by.js';
import { verifiable } from '../snapshots/figures.js';
import type { OpenCollection } from '../snapshots/open.js';
import type { Target } from '../target/target.js';
import { lostFiles } from './affected.js';
import { check } from './check.js';
import { compare, type Source } from './compare.js';
import { DAMAGE, Findings } from './findings.js';
import { type Item, itemsOf } from './items.js';
import type { VerifyReport, VerifyReporter } from './report.js';
import { sample } from './sample.js';
import { requireSigned } from './signature.js';

/** Objects that are read at once: one is on the network while the other is decoded. */
const IN_FLIGHT = 2;

const DONE_WITH_WARNINGS = 3;

export interface VerifyOptions {
	readonly collection: OpenCollection;
	readonly target: Target;
	readonly opener: Opener;
	/** The newest snapshot that is not later (s) is verified; null: the newest of all. */
	readonly until: number | null;
	/** Who must have signed manifests, signatures and segments, and so, by the digests in them, all. null: signatures are not asked for. */
	readonly signer: SignerKey | null;
	/** Percent of the bytes, those that wait longest; without `until` of the whole collection. null: everything. */
	readonly sample: number | null;
	/** null: nothing is compared. */
	readonly source: Source | null;
	/** Seconds. */
	readonly now: number;
	readonly reporter: VerifyReporter;
}

/** @throws UsageError when there is no snapshot; TargetError when the target cannot be reached any more */
export async function verify(options: VerifyOptions): Promise<VerifyReport> {
	return new Verification(options).run();
}

class Verification {
	readonly #options: VerifyOptions;
	readonly #index: Index;
	readonly #findings = new Findings();
	readonly #listed = new Map<number, string>();
	readonly #lost = new Set<string>();
	#objects = 0;
	#bytes = 0;
	#compared: number | null = null;
	#differences = 0;
	#warnings = 0;

	constructor(options: VerifyOptions) {
		this.#options = options;
		this.#index = options.collection.index;
	}

	async run(): Promise<VerifyReport> {
		const { sample: percent, until, source } = this.#options;
		const chains = this.#chains();
		const all = chains.flatMap((chain) => chain.sets).flatMap((set) => itemsOf(this.#index, set));
		const items =
			percent === null
				? all
				: sample(all, percent, ({ object }) => object && lastVerified(this.#index, object));
		// What manifests say of volumes is wanted before these are read.
		const isFirst = ({ part }: Item) => part === 'manifest';
		await this.#checkAll(items.filter(isFirst), items.length);
		await this.#checkAll(
			items.filter((item) => !isFirst(item)),
			items.length,
		);
		await this.#findings.settle(this.#options.target);
		for (const finding of this.#findings.all()) this.#options.reporter.object(finding);
		const snapshots = chains.flatMap((chain) => this.#shown(chain) ?? []);
		for (const set of snapshots) await this.#reportLost(set);
		const whole = percent === null || until !== null;
		const [set] = snapshots.slice(-1);
		if (source) await this.#compare(set, source);
		const objects = this.#options.collection.chains.flatMap(({ sets }) => sets.flatMap(verifiable));
		return {
			time: whole && set ? set.time : null,
			objects: this.#objects,
			bytes: this.#bytes,
			findings: this.#findings.all(),
			lost: this.#lost.size,
			compared: this.#compared,
			differences: this.#differences,
			warnings: this.#warnings,
			coverage: coverage(this.#index, objects),
			exit: this.#exit(),
		};
	}

	/** What is verified: the snapshot's chain as far as the snapshot; of a sample without a time all of them. */
	#chains(): Chain[] {
		const { collection, until, sample: percent } = this.#options;
		const upTo = (chain: Chain): Chain => ({
			...chain,
			sets: chain.sets.filter(({ time }) => time <= (until ?? Infinity)),
		});
		const chains = collection.chains.map(upTo).filter(({ sets }) => sets.length > 0);
		if (percent !== null && until === null && chains.length > 0) return chains;
		const last = (chain: Chain) => chain.sets.at(-1)?.time ?? 0;
		const [newest] = chains.sort((a, b) => last(b) - last(a));
		if (newest) return [newest];
		const first = collection.chains[0]?.start;
		throw new UsageError(
			first === undefined
				? 'There are no backups yet.'
				: `The first backup is of ${new Date(first * 1000).toISOString()}: there is none before.`,
		);
	}

	/** The chain's newest snapshot, of those that are verified, that can be shown. */
	#shown(chain: Chain): SnapshotSet | undefined {
		const times = new Set(chain.sets.map(({ time }) => time));
		return this.#options.collection.snapshots.sets().findLast(({ time }) => times.has(time));
	}

	async #checkAll(items: readonly Item[], of: number): Promise<void> {
		const queue = [...items];
		const work = async () => {
			for (let item = queue.shift(); item; item = queue.shift()) {
				const { name } = item;
				this.#options.reporter.progress(() => `${this.#objects} of ${of} objects verified  ${name}`);
				await this.#check(item);
			}
		};
		await Promise.all(Array.from({ length: IN_FLIGHT }, work));
	}

	async #check(item: Item): Promise<void> {
		const { target, opener, signer, now } = this.#options;
		const { object } = item;
		if (!object) {
			this.#add(item, new MissingObjectError(`${item.name} is missing from the target`));
			return;
		}
		try {
			await check(item, object, { index: this.#index, target, opener, listed: this.#listed });
			if (object.encrypted) this.#findings.noteOpened(item);
			if (signer && item.part !== 'volume') await requireSigned(object, signer, { target, opener });
			noteVerified(this.#index, object, now);
		} catch (error) {
			if (!(error instanceof TsdupError)) throw error;
			// One object that the target does not give is a finding; a target that gives nothing ends the run.
			if (error instanceof TargetError) await target.list();
			this.#add(item, error);
		}
		this.#objects++;
		this.#bytes += object.size;
	}

	#add(item: Item, error: TsdupError): void {
		forgetVerified(this.#index, item.name);
		this.#findings.add(item, error);
	}

	async #reportLost(set: SnapshotSet): Promise<void> {
		const damage = this.#findings.damage();
		if (damage.size === 0) return;
		const { collection } = this.#options;
		for await (const { path, reason } of lostFiles(this.#index, collection.resolver, set, damage)) {
			this.#reportPath(path, reason);
		}
	}

	#reportPath(path: Buffer, reason: string): void {
		const key = path.toString('latin1');
		if (this.#lost.has(key)) return;
		this.#lost.add(key);
		this.#options.reporter.lost(path, reason);
	}

	async #compare(set: SnapshotSet | undefined, source: Source): Promise<void> {
		const { collection, reporter } = this.#options;
		if (!set) throw new UsageError('The snapshot cannot be shown, so it cannot be compared with the source.');
		this.#compared = await compare(this.#index, collection.snapshots, set, source, {
			difference: (path, what) => {
				this.#differences++;
				reporter.difference(path, what);
			},
			lost: (path, error) => this.#reportPath(path, error.message),
			warn: (message) => {
				this.#warnings++;
				reporter.warn(message);
			},
			progress: (path, compared) => reporter.progress(() => `${compared} paths compared  ${path}`),
		});
	}

	#exit(): number {
		if (this.#differences > 0 || this.#lost.size > 0) return DAMAGE;
		const exits = this.#findings.exits();
		if (exits.includes(DAMAGE)) return DAMAGE;
		return Math.max(0, ...exits) || (this.#warnings > 0 ? DONE_WITH_WARNINGS : 0);
	}
}

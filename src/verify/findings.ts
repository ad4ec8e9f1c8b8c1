/** The objects that are not good, gathered while all are read, and judged once that is done: some explain others. */
import { KeyError, MissingObjectError, SignatureError, type TsdupError } from '../errors.js';
import { volumeId } from '../index/extents.js';
import type { Target } from '../target/target.js';
import { PartlyDamaged } from './check.js';
import type { TarRun } from './frames.js';
import type { Item } from './items.js';
import type { Finding } from './report.js';

/** Exit code. */
export const DAMAGE = 4;

interface Found {
	readonly item: Item;
	readonly finding: Finding;
	readonly exit: number;
	/** What of the volume cannot be read; null: all of it. */
	readonly runs: readonly TarRun[] | null;
}

export class Findings {
	#found: readonly Found[] = [];
	/** Times (s) of sets of which an object was opened with the passphrase or key. */
	readonly #opened = new Set<number>();

	noteOpened({ set }: Item): void {
		this.#opened.add(set.time);
	}

	add(item: Item, error: TsdupError): void {
		const runs = error instanceof PartlyDamaged ? error.runs : null;
		const { name: object, part, set } = item;
		const state = stateOf(error);
		const finding: Finding = { object, part, time: set.time, state, reason: error.message };
		this.#found = [...this.#found, { item, finding, exit: state === 'missing' ? DAMAGE : error.exit, runs }];
	}

	/**
	 * When all is known: what a key does not open that opened other objects of the set is damaged, and a set that was deleted
	 * meanwhile is not missing. @throws TargetError
	 */
	async settle(target: Target): Promise<void> {
		const there = this.#found.some(({ finding }) => finding.state === 'missing')
			? new Set((await target.list()).map(({ name }) => name))
			: null;
		this.#found = this.#found
			.filter(({ item, finding }) => {
				const { manifest } = item.set;
				return finding.state !== 'missing' || !manifest || there?.has(manifest.name);
			})
			.map((found) => {
				const isDamage = found.finding.state === 'locked' && this.#opened.has(found.item.set.time);
				return isDamage
					? { ...found, finding: { ...found.finding, state: 'damaged' as const }, exit: DAMAGE }
					: found;
			});
	}

	all(): Finding[] {
		return this.#found.map(({ finding }) => finding);
	}

	exits(): number[] {
		return this.#found.map(({ exit }) => exit);
	}

	/** By the ids of volumes: what of them cannot be read; null: nothing can. */
	damage(): Map<number, readonly TarRun[] | null> {
		const volumes = this.#found.filter(({ item }) => item.part === 'volume');
		return new Map(volumes.map(({ item, runs }) => [volumeId(item.set.time, item.number), runs] as const));
	}
}

function stateOf(error: TsdupError): Finding['state'] {
	if (error instanceof MissingObjectError) return 'missing';
	if (error instanceof KeyError) return 'locked';
	if (error instanceof SignatureError) return 'unsigned';
	return error.exit === DAMAGE ? 'damaged' : 'unreadable';
}

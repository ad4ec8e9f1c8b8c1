/**
 * Takes sets that are gone from the target out of the index: in each chain the first of them and all that followed it,
 * which cannot be shown without it. What was before stays as it is, and who reads it does not notice. Asks nothing of
 * the target, so no key either.
 */
import { STILL_SHOWN } from './entry.js';
import type { Index } from './index.js';

/** @param times of the sets that stay, s */
export function forgetAllBut(index: Index, times: ReadonlySet<number>): void {
	const sets = index.sets();
	const gone = new Set(sets.flatMap(({ time, chain }) => (times.has(time) ? [] : [chain])));
	if (gone.size === 0) return;
	index.db
		.transaction(() => {
			for (const chain of gone) {
				const ofChain = sets.filter((set) => set.chain === chain);
				const first = ofChain.findIndex(({ time }) => !times.has(time));
				cutAfter(index, chain, ofChain[first - 1]?.time ?? NONE);
			}
		})
		.immediate();
}

/** Before any set. */
const NONE = 0;

/** @param after time of the last set of the chain that stays */
function cutAfter({ db }: Index, chain: number, after: number): void {
	const sets = 'SELECT time FROM sets WHERE chain = ? AND time > ?';
	const volumes = `SELECT id FROM volumes WHERE set_time IN (${sets})`;
	for (const table of ['frames', 'seek_points']) {
		db.prepare(`DELETE FROM ${table} WHERE volume IN (${volumes})`).run(chain, after);
	}
	for (const table of ['volumes', 'foreign_objects', 'pieces', 'folders']) {
		db.prepare(`DELETE FROM ${table} WHERE set_time IN (${sets})`).run(chain, after);
	}
	db.prepare('DELETE FROM sets WHERE chain = ? AND time > ?').run(chain, after);
	db.prepare('DELETE FROM versions WHERE chain = ? AND first > ?').run(chain, after);
	// What a set that is gone replaced or deleted is the newest again.
	db.prepare(`UPDATE versions SET last = ${STILL_SHOWN} WHERE chain = ? AND last >= ?`).run(chain, after);
}

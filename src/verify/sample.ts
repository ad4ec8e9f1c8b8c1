/** Which objects a sample takes: those that were not verified for longest, so that each gets its turn. */
import type { Item } from './items.js';

/**
 * @param percent of the bytes of all; what is lost is always in, because it costs nothing to say so
 * @param last when (s) an object was found good; null: never
 * @returns at least one that is there, in the order of `items`; whole objects, so the last may go beyond the percentage
 */
export function sample(
	items: readonly Item[],
	percent: number,
	last: (item: Item) => number | null,
): readonly Item[] {
	const total = items.reduce((sum, { object }) => sum + (object?.size ?? 0), 0);
	const waiting = items
		.filter(({ object }) => object)
		.map((item) => ({ item, time: last(item) ?? 0 }))
		.sort((a, b) => a.time - b.time);
	const taken = new Set<Item>();
	let bytes = 0;
	for (const { item } of waiting) {
		if (bytes >= (total * percent) / 100 && taken.size > 0) break;
		taken.add(item);
		bytes += item.object?.size ?? 0;
	}
	return items.filter((item) => !item.object || taken.has(item));
}

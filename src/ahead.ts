/**
 * Lets a source work on its next item, on the thread pool or on the network, while the caller is busy with the one at
 * hand. The caller may keep an item until it asks for the next: so the source must not use its memory again.
 */
import { setImmediate } from 'node:timers/promises';

export async function* ahead<T>(source: AsyncIterable<T>): AsyncGenerator<T, void, void> {
	const iterator = source[Symbol.asyncIterator]();
	let next = iterator.next();
	try {
		for (let item = await next; !item.done; item = await next) {
			next = iterator.next();
			// It is waited for above; until then nobody listens to it.
			next.catch(() => {});
			// Else the caller would be busy before the source has come to where it waits.
			await setImmediate();
			yield item.value;
		}
	} finally {
		await iterator.return?.();
	}
}

export interface Begun<T> extends AsyncIterable<T> {
	next(): Promise<IteratorResult<T, void>>;
	return(): Promise<IteratorResult<T, void>>;
}

/** Begins at once, and not when the first item is asked for. To be closed (`return`), iterated or not. */
export function begun<T>(source: AsyncIterable<T>): Begun<T> {
	const iterator = source[Symbol.asyncIterator]();
	let first: Promise<IteratorResult<T, void>> | null = iterator.next();
	// Whoever iterates is told.
	first.catch(() => {});
	return {
		[Symbol.asyncIterator]() {
			return this;
		},
		next() {
			const item = first ?? iterator.next();
			first = null;
			return item;
		},
		async return() {
			await iterator.return?.();
			return { done: true, value: undefined };
		},
	};
}

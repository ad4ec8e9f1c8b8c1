/**
 * Notices who goes through the frames of a volume in their order, and says which ones to get ready for him. Several readers of one
 * volume are told apart by where they are.
 */
import { LRUCache } from 'lru-cache';

/** Tar bytes that are got ready at once: in requests of this length the latency of a store on the internet no longer counts. */
const MOST = 16 * 2 ** 20;
/** Readers of one volume that are told apart. */
const STREAKS = 8;
/** Volumes whose readers are remembered. */
const VOLUMES = 64;
/** Frames in a row before anything is got ready: two are what one small file may lie in. */
const PATIENCE = 3;

interface Streak {
	/** The frame that was read last. */
	at: number;
	/** Frames that were read in a row. */
	length: number;
	/** Frames that are got ready at once: doubled each time. */
	window: number;
	/** The last one that is ready. */
	ready: number;
}

export class Sequences {
	readonly #streaks = new LRUCache<number, Streak[]>({ max: VOLUMES });

	/**
	 * Takes note of a frame that is read.
	 * @param frames how many the volume has, and `tarLength` bytes in all of them
	 * @returns the first and the last frame to get ready now; null: none
	 */
	advance(
		volume: number,
		number: number,
		frames: number,
		tarLength: number,
	): { first: number; last: number } | null {
		const streak = this.#streak(volume, number);
		if (number !== streak.at + 1) return null;
		streak.at = number;
		streak.length++;
		if (streak.length < PATIENCE || streak.ready - number > streak.window / 2) return null;
		const most = Math.max(1, Math.floor((MOST * frames) / tarLength));
		streak.window = Math.min(streak.window * 2, most);
		const first = Math.max(streak.ready, number) + 1;
		const last = Math.min(number + streak.window, frames - 1);
		if (first > last) return null;
		streak.ready = last;
		return { first, last };
	}

	/** The kernel's own read-ahead may come a little out of order. */
	#streak(volume: number, number: number): Streak {
		let streaks = this.#streaks.get(volume);
		if (!streaks) {
			streaks = [];
			this.#streaks.set(volume, streaks);
		}
		const found = streaks.find(({ at }) => Math.abs(number - at) <= 1);
		if (found) return found;
		const started = { at: number, length: 1, window: 1, ready: number };
		streaks.unshift(started);
		streaks.splice(STREAKS);
		return started;
	}
}

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
/**
 * Frames by which a reader may be behind, or ahead, of where he was last: the kernel's own read-ahead has several reads under way,
 * and each asks for its second frame when it has the first.
 */
const BEHIND = 8;
const AHEAD = 2;

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
	/** The reader who came to the end of a volume last: large files go on in the next one. */
	#ended: { readonly volume: number; readonly window: number } | null = null;

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
		if (number <= streak.at) return null;
		streak.at = number;
		streak.length++;
		// One window is on its way while he is in the one before.
		if (streak.length < PATIENCE || streak.ready - number > streak.window) return null;
		const most = Math.max(1, Math.floor((MOST * frames) / tarLength));
		streak.window = Math.min(streak.window * 2, most);
		const first = Math.max(streak.ready, number) + 1;
		const last = Math.min(number + 2 * streak.window, frames - 1);
		if (first > last) return null;
		streak.ready = last;
		if (last === frames - 1) this.#ended = { volume, window: streak.window };
		return { first, last };
	}

	#streak(volume: number, number: number): Streak {
		let streaks = this.#streaks.get(volume);
		if (!streaks) {
			streaks = [];
			this.#streaks.set(volume, streaks);
		}
		const found = streaks.find(({ at }) => number >= at - BEHIND && number <= at + AHEAD);
		if (found) return found;
		const before = number === 0 && this.#ended?.volume === volume - 1 ? this.#ended : null;
		const started = { at: number, length: before ? PATIENCE : 1, window: before?.window ?? 1, ready: number };
		streaks.unshift(started);
		streaks.splice(STREAKS);
		return started;
	}
}

/**
 * Notes in the index what is learnt of a foreign volume while it is still being read: whoever waits for a file in it need not wait
 * for its end. Only for bytes that are proven already. What an interrupted reading leaves in the index is true; the next one, or the
 * end of this one, makes it complete.
 */
import type { ForeignObject, Member } from '../index/foreign.js';
import type { Index } from '../index/index.js';
import { addScanned, extendScanned } from '../index/seek-points.js';
import type { Scan } from '../volume/scan.js';
import { type Bodies, recordBodies } from './bodies.js';

/** Frames after which it is noted: some 16 MiB. */
const STEP = 4;

export class Learning {
	readonly #index: Index;
	readonly #object: ForeignObject;
	readonly #scan: Scan;
	/** Told whenever something was noted. */
	readonly #noted: () => void;
	/** Frames that are in the index. */
	#frames = 0;
	#hasBegun = false;
	/** Somebody else has noted the volume. */
	#isOver: boolean;

	constructor(index: Index, object: ForeignObject, scan: Scan, noted: () => void) {
		this.#index = index;
		this.#object = object;
		this.#scan = scan;
		this.#noted = noted;
		this.#isOver = index.volume(object.id) !== undefined;
	}

	/** Takes away what begins in frames that were read to their end. */
	read(bodies: Bodies): void {
		const { frames } = this.#scan;
		if (this.#isOver || frames.length < this.#frames + STEP) return;
		const last = frames.at(-1);
		const members = takeBegun(bodies.members, last ? last.tarOffset + last.tarLength : 0);
		const sizes = bodies.sizes.splice(0);
		this.#index.db
			.transaction(() => {
				this.#isOver = !extendScanned(this.#index, this.#object, this.#scan, this.#frames);
				recordBodies(
					this.#index,
					this.#object,
					{ members, sizes },
					{ hasFirst: !this.#hasBegun, hasLast: false },
				);
			})
			.immediate();
		this.#frames = frames.length;
		this.#hasBegun ||= members.length > 0;
		this.#noted();
	}

	/** Whether the index has this scan's frames, and no others. */
	get goesOn(): boolean {
		return !this.#isOver && this.#frames > 0;
	}

	/** Within a transaction. @param bodies what was not taken away */
	end(bodies: Bodies): void {
		const goesOn = !this.#isOver && extendScanned(this.#index, this.#object, this.#scan, this.#frames);
		if (!goesOn) addScanned(this.#index, this.#object, this.#scan);
		recordBodies(this.#index, this.#object, bodies, { hasFirst: !this.#hasBegun, hasLast: true });
	}
}

/** Members that begin before `end`: who reads one on waits for the rest. One in pieces that may go on is left. */
function takeBegun(members: Member[], end: number): Member[] {
	let count = members.findLastIndex(({ offset }) => offset <= end) + 1;
	const goesOn = (last: Member | undefined) => last !== undefined && last.piece !== null;
	if (goesOn(members[count - 1])) {
		const { path } = members[count - 1] as Member;
		while (count > 0 && members[count - 1]?.path.equals(path)) count--;
	}
	return members.splice(0, count);
}

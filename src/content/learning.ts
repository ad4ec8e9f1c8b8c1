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

	/** Takes away what lies in frames that were read to their end. */
	read(bodies: Bodies): void {
		const { frames } = this.#scan;
		if (this.#isOver || frames.length < this.#frames + STEP) return;
		const last = frames.at(-1);
		const members = takeComplete(bodies.members, last ? last.tarOffset + last.tarLength : 0);
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

	/** Within a transaction. @param bodies what was not taken away */
	end(bodies: Bodies): void {
		const goesOn = !this.#isOver && extendScanned(this.#index, this.#object, this.#scan, this.#frames);
		if (!goesOn) addScanned(this.#index, this.#object, this.#scan);
		recordBodies(this.#index, this.#object, bodies, { hasFirst: !this.#hasBegun, hasLast: true });
	}
}

/** Members before `end`; the pieces of one file stay together. */
function takeComplete(members: Member[], end: number): Member[] {
	let count = members.findLastIndex(({ offset, length }) => offset + length <= end) + 1;
	while (count > 0 && count < members.length && isSame(members[count - 1], members[count])) count--;
	return count < members.length ? members.splice(0, count) : members.splice(0, lastGroup(members));
}

/** Where the members of the last file begin: it may go on. */
function lastGroup(members: readonly Member[]): number {
	let start = Math.max(0, members.length - 1);
	while (start > 0 && isSame(members[start - 1], members[start])) start--;
	return start;
}

function isSame(a: Member | undefined, b: Member | undefined): boolean {
	return a !== undefined && b !== undefined && a.path.equals(b.path);
}

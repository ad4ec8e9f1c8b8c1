/**
 * Who reads a foreign volume right behind its scan, as `cp -a` does on the first day, is given the frames as they come: so they are
 * decoded once. The scan waits for him then, as long as he goes on.
 */

/** Frames that a scan is ahead of its reader, at most: some 20 MiB, of which memory is sure to hold what he has not read. */
const AHEAD = 4;
/** Milliseconds without a read after which the reader is believed to have gone. */
const PATIENCE = 250;

interface Scanned {
	/** The frame that was read last; -1: nobody reads. */
	at: number;
	/** The frame that is being scanned. */
	begun: number;
	/** Tells a scan that waits. */
	moved: () => void;
}

export class Audience {
	/** Volumes that are being scanned. */
	readonly #scans = new Map<number, Scanned>();

	begin(volume: number): void {
		this.#scans.set(volume, { at: -1, begun: 0, moved: () => {} });
	}

	end(volume: number): void {
		this.#scans.delete(volume);
	}

	/** Somebody reads a frame of a volume. @returns whether he is given those that follow */
	reads(volume: number, number: number): boolean {
		const scan = this.#scans.get(volume);
		if (!scan) return false;
		scan.at = number;
		scan.moved();
		return scan.begun - number <= AHEAD;
	}

	/** Waits until the scan is to go on with a frame. @returns whether somebody will want it soon */
	async wants(volume: number, number: number): Promise<boolean> {
		const scan = this.#scans.get(volume);
		if (!scan) return false;
		scan.begun = number;
		while (scan.at >= 0 && number - scan.at > AHEAD) {
			if (!(await moved(scan))) scan.at = -1;
		}
		return scan.at >= 0;
	}
}

/** @returns false when nobody has read for a while */
function moved(scan: Scanned): Promise<boolean> {
	return new Promise((resolve) => {
		const timer = setTimeout(() => resolve(false), PATIENCE);
		scan.moved = () => {
			clearTimeout(timer);
			scan.moved = () => {};
			resolve(true);
		};
	});
}

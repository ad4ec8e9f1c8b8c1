/** The line that shows how far a backup is: a bar where the end can be guessed, bytes, rate, time left, retries, path. */
import type { Progress } from '../backup/report.js';
import type { Traffic } from '../target/traffic.js';
import { count, size } from './output.js';

/** Characters. */
const BAR = 20;

/** Until then a guess of what is left is none, seconds. */
const SETTLED = 2;

export class BackupProgress {
	readonly #traffic: Traffic;
	readonly #started = performance.now();

	constructor(traffic: Traffic) {
		this.#traffic = traffic;
	}

	line(state: Progress): string {
		const seconds = (performance.now() - this.#started) / 1000;
		const done = fraction(state);
		const rate = size((state.full ? state.bytesRead : state.bytesStored) / Math.max(seconds, 0.1));
		const { retries } = this.#traffic;
		return [
			...(done === null ? [] : [`${bar(done)} ${Math.floor(done * 100)} %`]),
			`${state.entries} entries`,
			`${size(state.bytesRead)} read`,
			`${size(state.bytesStored)} stored`,
			`${rate}/s`,
			...(done !== null && done > 0.01 && seconds > SETTLED
				? [`${duration((seconds / done) * (1 - done))} left`]
				: []),
			...(retries > 0 ? [count(retries, 'retry').replace('retrys', 'retries')] : []),
			state.path.toString(),
		].join('  ');
	}
}

/** A full backup takes as long as its bytes, an increment as its entries: most of them are only looked at. */
function fraction({ full, entries, bytesRead, expected }: Progress): number | null {
	const former = expected();
	if (!former) return null;
	const [now, end] = full ? [bytesRead, former.bytes] : [entries, former.entries];
	return end > 0 ? Math.min(now / end, 0.99) : null;
}

function bar(done: number): string {
	const filled = Math.floor(done * BAR);
	return `[${'#'.repeat(filled)}${'.'.repeat(BAR - filled)}]`;
}

/** `0:42`, `12:03`, `3:04:05`. */
function duration(seconds: number): string {
	const whole = Math.round(seconds);
	const two = (n: number) => String(n % 60).padStart(2, '0');
	const minutes = Math.floor(whole / 60);
	if (minutes < 60) return `${minutes}:${two(whole)}`;
	return `${Math.floor(minutes / 60)}:${two(minutes)}:${two(whole)}`;
}

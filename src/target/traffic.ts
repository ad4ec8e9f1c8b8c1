/**
 * What goes over the line to one target: counted, by the classes that stores bill, and slowed down where that is asked
 * for. One object for each opened target; whoever opens it may keep it and read the counts.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { UsageError } from '../errors.js';

export interface TrafficLimits {
	/** Bytes per second. */
	readonly upload?: number;
	readonly download?: number;
}

/**
 * `500k`, `2M` or a plain number: bytes per second, k and M by 1024 as duplicity's other numbers.
 * @throws UsageError
 */
export function parseRate(text: string): number {
	const [, number, unit = ''] = /^(\d+(?:\.\d+)?)([kKmM]?)$/.exec(text) ?? [];
	const rate = Number(number) * (unit === '' ? 1 : unit.toLowerCase() === 'k' ? 1024 : 1024 ** 2);
	// Below that, one packet takes so long that the connection seems to be stuck.
	if (rate >= LEAST_RATE) return rate;
	throw new UsageError(`${text} is no rate: write bytes per second, at least 10k, as in 500k or 2M.`);
}

const LEAST_RATE = 10 * 1024;

/** How requests are billed. */
export type RequestClass = 'list' | 'read' | 'put' | 'delete';

let limits: TrafficLimits = {};

/** What this process was told to keep to, for each target that it opens from now on. */
export function limitTraffic(asked: TrafficLimits): void {
	limits = asked;
}

export class Traffic {
	/** Requests made, attempts that failed too. */
	readonly requests: Record<RequestClass, number> = { list: 0, read: 0, put: 0, delete: 0 };
	/** Bytes of bodies, of attempts that failed too. */
	uploaded = 0;
	downloaded = 0;
	/** Requests that were made again after a failure. */
	retries = 0;
	readonly upload: Pace | null;
	readonly download: Pace | null;

	constructor({ upload, download }: TrafficLimits = limits) {
		this.upload = upload === undefined ? null : new Pace(upload);
		this.download = download === undefined ? null : new Pace(download);
	}
}

/** Lets bytes pass at a rate, whoever sends them. */
export class Pace {
	readonly #rate: number;
	/** When all that was let through so far is over, ms. */
	#free = 0;

	/** @param rate bytes per second */
	constructor(rate: number) {
		this.#rate = rate;
	}

	/** Bytes of a slice that take about a twentieth of a second. */
	get slice(): number {
		return Math.max(1024, Math.min(65536, Math.round(this.#rate / 20)));
	}

	/** Resolves when so many bytes may go. */
	async take(bytes: number): Promise<void> {
		const now = performance.now();
		const start = Math.max(now, this.#free);
		this.#free = start + (bytes / this.#rate) * 1000;
		if (start > now) await sleep(start - now);
	}

	/** A body in slices, each when it may go. */
	async *slices(body: Uint8Array): AsyncGenerator<Uint8Array> {
		for (let at = 0; at < body.length; at += this.slice) {
			const slice = body.subarray(at, at + this.slice);
			await this.take(slice.length);
			yield slice;
		}
	}
}

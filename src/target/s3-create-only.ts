/**
 * Objects are made, never replaced: where the store honours `If-None-Match: *` it refuses what would replace one, so that two hosts
 * that back up at the same second do not mix their sets. A store that takes the header and goes on as without it costs nothing; one
 * that refuses it is known from its first answer on, also to later runs.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { errorCodes, statusOf } from './s3-errors.js';

export type Condition = { readonly IfNoneMatch?: '*' };

export class CreateOnly {
	readonly #path: string | null;
	#refused: boolean;

	/** @param path of a file on this host, there once the store has refused the header; null: nowhere to remember */
	constructor(path: string | null) {
		this.#path = path;
		this.#refused = path !== null && existsSync(path);
	}

	/**
	 * Sends a request that makes an object.
	 * @throws what sending throws; of an object that is there already, see `isThere`
	 */
	async send<T>(request: (condition: Condition) => Promise<T>): Promise<T> {
		if (this.#refused) return request({});
		try {
			return await request({ IfNoneMatch: '*' });
		} catch (cause) {
			if (!REFUSED.includes(statusOf(cause) ?? 0)) throw cause;
		}
		// What was wrong with something else is wrong again.
		const answer = await request({});
		this.#refused = true;
		this.#remember();
		return answer;
	}

	#remember(): void {
		try {
			if (this.#path !== null) writeFileSync(this.#path, '', { mode: 0o600 });
		} catch {
			// Then the next run asks again.
		}
	}
}

/** "Not implemented", or a request that the store does not understand. */
const REFUSED = [400, 501];

/** Whether a store refused to replace an object. */
export function isThere(cause: unknown): boolean {
	return errorCodes(cause).includes('PreconditionFailed') || statusOf(cause) === 412;
}

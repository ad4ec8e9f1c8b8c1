/**
 * When a request that failed is made again. What is temporary is tried again for as long as the patience lasts, after
 * pauses that double and are spread at random, so that many waiting clients do not come back at once; what another
 * attempt cannot mend fails at once. The AWS SDK asks it after each failure.
 */
import type { S3ClientConfig } from '@aws-sdk/client-s3';
import { errorCodes, statusOf } from './s3-errors.js';

/** What the SDK wants; it does not export the types by themselves. */
type Strategy = Extract<
	Exclude<NonNullable<S3ClientConfig['retryStrategy']>, (...args: never[]) => unknown>,
	{ acquireInitialRetryToken: unknown }
>;
type Failure = Parameters<Strategy['refreshRetryTokenForRetry']>[1];

interface Token {
	getRetryCount(): number;
	/** Milliseconds. */
	getRetryDelay(): number;
	/** When the request failed for the first time, ms; 0: not yet. */
	readonly since: number;
	readonly corrected: boolean;
}

/** Mean of the first pause and the longest, ms. */
const FIRST_PAUSE = 200;
const LONGEST_PAUSE = 30_000;

/** A host that never answered is more likely misspelt than down. */
const ATTEMPTS_AT_A_STRANGER = 3;

const TEMPORARY_STATUS: readonly (number | undefined)[] = [408, 429, 500, 502, 503, 504];

/** The connection failed; whether the host is the right one is not said by that. */
const CONNECTION = ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT'];

/** By the store's code, Node's or the SDK's name, whatever the status. */
const TEMPORARY: readonly string[] = [
	...CONNECTION,
	'ECONNRESET',
	'EPIPE',
	'TimeoutError',
	'SlowDown',
	'RequestTimeout',
	'RequestTimeoutException',
	'InternalError',
	'ServiceUnavailable',
	'OperationAborted',
	'Throttling',
	'ThrottlingException',
	'TooManyRequests',
	'RequestLimitExceeded',
	// Bytes went wrong on their way.
	'BadDigest',
	'XAmzContentSHA256Mismatch',
	'XAmzContentChecksumMismatch',
	'IncompleteBody',
];

/** Whether another attempt may succeed. */
export function isTemporary(error: unknown): boolean {
	const status = statusOf(error);
	if (TEMPORARY_STATUS.includes(status)) return true;
	const codes = errorCodes(error);
	if (codes.includes('AbortError')) return false;
	// An answer that says "done" and cannot be understood came through incomplete.
	return status === 200 || codes.some((code) => TEMPORARY.includes(code));
}

export class Patience implements Strategy {
	readonly #patience: number;
	readonly #retrying: () => void;
	#answered = false;

	/**
	 * @param patience how long a request may be tried again, ms since its first failure
	 * @param retrying told of each new attempt
	 */
	constructor(patience: number, retrying: () => void) {
		this.#patience = patience;
		this.#retrying = retrying;
	}

	async acquireInitialRetryToken(): Promise<Token> {
		return token(0, 0, 0, false);
	}

	async refreshRetryTokenForRetry(last: Token, { error, retryAfterHint }: Failure): Promise<Token> {
		const now = Date.now();
		const count = last.getRetryCount() + 1;
		const since = last.since || now;
		if (statusOf(error) !== undefined) this.#answered = true;
		// The SDK has set its clock by the store's answer: the next attempt is right, or none is.
		if (clockCorrected(error) && !last.corrected) return this.#again(token(count, 0, since, true));
		if (!isTemporary(error)) throw error;
		const connecting = errorCodes(error).some((code) => CONNECTION.includes(code));
		if (connecting && !this.#answered && count >= ATTEMPTS_AT_A_STRANGER) throw error;
		const asked = retryAfterHint ? retryAfterHint.getTime() - now : 0;
		const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** count) * Math.random();
		const wait = Math.max(pause, Math.min(asked, LONGEST_PAUSE));
		if (now + wait - since > this.#patience) throw error;
		return this.#again(token(count, wait, since, last.corrected));
	}

	recordSuccess(): void {
		this.#answered = true;
	}

	#again(next: Token): Token {
		this.#retrying();
		return next;
	}
}

function token(count: number, delay: number, since: number, corrected: boolean): Token {
	return { getRetryCount: () => count, getRetryDelay: () => delay, since, corrected };
}

function clockCorrected(error: unknown): boolean {
	const { $metadata } = error as { $metadata?: { clockSkewCorrected?: boolean } };
	return $metadata?.clockSkewCorrected ?? false;
}

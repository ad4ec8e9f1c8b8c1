/**
 * A clock that a test sets, so that days pass at once: whatever is started with its environment lives by it, an S3 server
 * as well. Only what programs ask the system for; the times of files that they write are of the real clock.
 */
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const DAY = 86_400_000;

export class Days {
	readonly env: NodeJS.ProcessEnv;
	readonly #file: string;
	#ago = 0;

	/** @param file that says what time it is; every program looks there again each second */
	constructor(file: string) {
		this.#file = file;
		this.env = {
			// The loader knows the folder of the libraries.
			LD_PRELOAD: '/usr/$LIB/faketime/libfaketimeMT.so.1',
			FAKETIME_TIMESTAMP_FILE: file,
			FAKETIME_CACHE_DURATION: '1',
			FAKETIME_DONT_FAKE_MONOTONIC: '1',
			NO_FAKE_STAT: '1',
		};
		this.set(0);
	}

	/** @param ago days before today */
	set(ago: number): void {
		this.#ago = ago;
		writeFileSync(this.#file, `-${ago}d\n`);
	}

	now(): Date {
		return new Date(Date.now() - this.#ago * DAY);
	}

	/** Resolves when a server that lives by this clock has looked at it. @param url that it answers with a date */
	async awaitServer(url: string): Promise<void> {
		for (;;) {
			const { headers } = await fetch(url, { method: 'HEAD' });
			const date = Date.parse(headers.get('date') ?? '');
			if (Math.abs(date - this.now().getTime()) < 60_000) return;
			await sleep(100);
		}
	}
}

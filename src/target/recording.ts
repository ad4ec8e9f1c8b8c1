/**
 * Tells of every request that goes to a target, before it is made: for the counts in reports, and for tests
 * that promise how many requests an action costs. Wraps any Target.
 */
import type { ObjectInfo, ObjectWriter, Target } from './target.js';

export interface Request {
	readonly op: 'list' | 'read' | 'stream' | 'put' | 'delete' | 'unfinished' | 'sweep';
	/** The object; absent for list, unfinished and sweep. */
	readonly name?: string;
	/** Bytes; of a read. */
	readonly offset?: number;
	/** Bytes; of a read, and of a put, which is told when it is committed. */
	readonly length?: number;
}

export class RecordingTarget implements Target {
	readonly url: string;
	readonly #target: Target;
	readonly #record: (request: Request) => void;

	constructor(target: Target, record: (request: Request) => void) {
		this.url = target.url;
		this.#target = target;
		this.#record = record;
	}

	list(): Promise<ObjectInfo[]> {
		this.#record({ op: 'list' });
		return this.#target.list();
	}

	read(name: string, offset: number, length: number): Promise<Buffer> {
		this.#record({ op: 'read', name, offset, length });
		return this.#target.read(name, offset, length);
	}

	stream(name: string): AsyncIterable<Buffer> {
		this.#record({ op: 'stream', name });
		return this.#target.stream(name);
	}

	create(name: string): ObjectWriter {
		const writer = this.#target.create(name);
		let length = 0;
		return {
			write: (chunk) => {
				length += chunk.length;
				return writer.write(chunk);
			},
			commit: () => {
				this.#record({ op: 'put', name, length });
				return writer.commit();
			},
			abort: () => writer.abort(),
		};
	}

	/** One record per object. */
	delete(names: readonly string[]): Promise<void> {
		for (const name of names) this.#record({ op: 'delete', name });
		return this.#target.delete(names);
	}

	unfinished(): Promise<string[]> {
		this.#record({ op: 'unfinished' });
		return this.#target.unfinished();
	}

	sweep(): Promise<void> {
		this.#record({ op: 'sweep' });
		return this.#target.sweep();
	}
}

/**
 * What commands print: results to stdout, in words or (`--json`) one object per line with the summary last; notes and
 * warnings to stderr; progress to stderr, only when it is a terminal. Nothing here ever sees a secret.
 */
import type { Command } from 'commander';
import type { Access } from '../collection/access.js';
import type { Listener } from '../index/take-in.js';
import { count } from '../source/words.js';

interface OutputOptions {
	json?: boolean;
	quiet?: boolean;
	verbose?: boolean;
}

export class Output {
	/** Whether anything was warned of: the program then ends with exit code 3. */
	static warned = false;
	/** Takes each note, warning, summary and error, and what the programs of a profile say, see log-file.ts; null: there is no log. */
	static log: ((line: string) => void) | null = null;
	#options: OutputOptions;
	#progressShown = 0;

	constructor(options: OutputOptions) {
		this.#options = options;
	}

	get json(): boolean {
		return this.#options.json ?? false;
	}

	get verbose(): boolean {
		return this.#options.verbose ?? false;
	}

	/** A line of the result in words, or the same as an object. */
	result(words: string | Buffer, object: object): void {
		this.clear();
		if (this.json) process.stdout.write(`${JSON.stringify(object)}\n`);
		else process.stdout.write(Buffer.concat([Buffer.from(words), Buffer.from('\n')]));
	}

	/** The summary: the last line. In words it is left out with `-q`. */
	summary(words: string, object: object): void {
		this.clear();
		Output.log?.(words);
		if (this.json) process.stdout.write(`${JSON.stringify({ summary: object })}\n`);
		else if (!this.#options.quiet && words !== '') process.stdout.write(`${words}\n`);
	}

	/** What is to be said of a profile before work on it begins. Its VERBOSITY holds from here on, unless -q or -v is given. */
	introduce({ warnings, details, verbosity }: Pick<Access, 'warnings' | 'details' | 'verbosity'>): void {
		if (verbosity !== null && !this.#options.quiet && !this.#options.verbose) {
			const quiet = /^([0-2]|e|w)/i.test(verbosity);
			this.#options = { ...this.#options, quiet, verbose: /^([5-9]|i|d)/i.test(verbosity) };
		}
		for (const warning of warnings) this.note(warning);
		if (this.verbose) for (const detail of details) this.note(detail);
	}

	note(message: string): void {
		Output.log?.(message);
		if (this.#options.quiet) return;
		this.clear();
		process.stderr.write(`${message}\n`);
	}

	/** What failed, where the command goes on. */
	error(message: string): void {
		this.clear();
		process.stderr.write(`tsdup: ${message}\n`);
	}

	warn(message: string): void {
		Output.warned = true;
		Output.log?.(`warning: ${message}`);
		this.clear();
		process.stderr.write(`warning: ${message}\n`);
	}

	/** A line that the next one replaces; at most ten a second. */
	progress(line: () => string): void {
		if (this.#options.quiet || this.json || !process.stderr.isTTY) return;
		const now = Date.now();
		if (now - this.#progressShown < 100) return;
		this.#progressShown = now;
		process.stderr.write(`\r\x1b[K${printable(line()).slice(0, (process.stderr.columns || 80) - 1)}`);
	}

	/** Takes the line of progress away. */
	clear(): void {
		if (this.#progressShown === 0) return;
		this.#progressShown = 0;
		process.stderr.write('\r\x1b[K');
	}
}

/** Shows how far it is when a collection is opened that has many sets this host does not know. */
export function listenerFor(output: Output): Listener {
	return {
		note: (message) => output.note(message),
		taken: (done, of) => output.progress(() => takenWords(done, of)),
	};
}

export function takenWords(done: number, of: number): string {
	return `${done} of ${count(of, 'new snapshot')} read`;
}

/** The output that a command's options, and those before the command, ask for. */
export function outputOf(command: Command): Output {
	return new Output(command.optsWithGlobals() as OutputOptions);
}

/** Without what would move a terminal's cursor: names in a backup may hold anything. */
export function printable(text: string): string {
	// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
	return text.replaceAll(/[\x00-\x1f\x7f-\x9f]/g, '?');
}

/** A path for `--json`: names are bytes, and those that are not UTF-8 also stand in base64. */
export function pathFields(path: Buffer): { path: string; pathBase64?: string } {
	const text = path.toString() || '.';
	const lossless = path.length === 0 || Buffer.from(text).equals(path);
	return lossless ? { path: text } : { path: text, pathBase64: path.toString('base64') };
}

export { count };

/** Bytes as people read them: powers of 1000, as disks are sold and buckets billed. */
export function size(bytes: number): string {
	const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
	let value = bytes;
	let unit = 0;
	while (value >= 999.5 && unit < units.length - 1) {
		value /= 1000;
		unit++;
	}
	return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** A time (s) as people read it here: `2010-10-04 15:35:38`. */
export function localTime(seconds: number): string {
	const date = new Date(seconds * 1000);
	const two = (n: number) => String(n).padStart(2, '0');
	const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
	return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** What is said of objects that should be on the target and are not. */
export function missingWords(names: readonly string[]): string {
	const more = names.length > 3 ? ` and ${names.length - 3} more` : '';
	return `the target lacks ${names.slice(0, 3).join(', ')}${more}; files in them cannot be read`;
}

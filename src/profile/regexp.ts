/**
 * Regular expressions as duplicity takes them, which are Python's, made into this language's. What means the same is
 * passed on, what is spelt otherwise is translated, and what has no counterpart is an error: a rule that means something else
 * would leave files out of a backup.
 */
import { UsageError } from '../errors.js';

/** Of Unicode, as Python has them. */
const digit = '\\p{Nd}';
const word = '\\p{L}\\p{N}_';
const space = '\\t-\\r\\x1c- \\x85\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const sets: Readonly<Record<string, string>> = { d: digit, w: word, s: space };
const controls: Readonly<Record<string, string>> = {
	a: '\\x07',
	f: '\\f',
	n: '\\n',
	r: '\\r',
	t: '\\t',
	v: '\\v',
};
const edge = `(?:(?<=[${word}])(?![${word}])|(?<![${word}])(?=[${word}]))`;
const assertions: Readonly<Record<string, string>> = {
	A: '^',
	Z: '$',
	b: edge,
	B: `(?!${edge})`,
};
/** `$` also stands before a newline that ends the text. */
const end = '(?=\\n?(?![^]))';

/** @param pattern text as decodePath gives it. @throws UsageError when there is none that means the same */
export function compileRegexp(pattern: string): RegExp {
	const [, flags = '', rest = ''] = /^(?:\(\?([is]+)\))?(.*)$/s.exec(pattern) ?? [];
	const translation = new Translation(rest, flags.includes('s'), pattern);
	try {
		return new RegExp(translation.run(), flags.includes('i') ? 'ui' : 'u');
	} catch (cause) {
		if (cause instanceof UsageError) throw cause;
		throw unusable(pattern, cause);
	}
}

class Translation {
	readonly #characters: readonly string[];
	readonly #dot: string;
	readonly #pattern: string;
	#at = 0;

	constructor(source: string, dotAll: boolean, pattern: string) {
		this.#characters = Array.from(source);
		this.#dot = dotAll ? '[^]' : '[^\\n]';
		this.#pattern = pattern;
	}

	run(): string {
		let output = '';
		while (this.#at < this.#characters.length) output += this.#next();
		return output;
	}

	#next(): string {
		const rest = this.#characters.slice(this.#at).join('');
		const group = /^\((?:\?(?::|=|!|<=|<!|P<([A-Za-z_]\w*)>))?/.exec(rest);
		if (group) {
			const [all, name] = group;
			if (all === '(' && rest[1] === '?') throw unusable(this.#pattern);
			this.#at += all.length;
			return name === undefined ? all : '(';
		}
		const repeat = /^\{(?:(\d+)(,\d*)?|,(\d*))\}/.exec(rest);
		if (repeat) {
			const [all, least, most = '', mostOnly] = repeat;
			this.#at += all.length;
			return least === undefined ? `{0,${mostOnly}}` : `{${least}${most}}`;
		}
		const character = this.#take();
		if (character === '\\') return this.#escape(false);
		if (character === '[') return this.#set();
		if (character === '.') return this.#dot;
		if (character === '$') return end;
		return '^*+?|)'.includes(character) ? character : literal(character);
	}

	#take(): string {
		return this.#characters[this.#at++] as string;
	}

	/** After a backslash. */
	#escape(inSet: boolean): string {
		const character = this.#characters[this.#at++];
		if (character === undefined) throw unusable(this.#pattern);
		const set = sets[character.toLowerCase()];
		if (set !== undefined) {
			const positive = character === character.toLowerCase();
			if (inSet && !positive) throw unusable(this.#pattern);
			return inSet ? set : `[${positive ? '' : '^'}${set}]`;
		}
		if (!inSet && assertions[character] !== undefined) return assertions[character];
		if (inSet && character === 'b') return '\\x08';
		if (controls[character] !== undefined) return controls[character];
		if (character === 'x' || character === 'u') return this.#hex(character === 'x' ? 2 : 4);
		// A reference to a group that has no match fails in Python, and succeeds here.
		if (/[A-Za-z0-9]/.test(character)) throw unusable(this.#pattern);
		return literal(character);
	}

	#hex(length: number): string {
		const digits = this.#characters.slice(this.#at, this.#at + length).join('');
		if (!/^[0-9a-f]+$/i.test(digits) || digits.length < length) throw unusable(this.#pattern);
		this.#at += length;
		return `\\u{${digits}}`;
	}

	/** After an opening bracket. */
	#set(): string {
		let output = '[';
		if (this.#characters[this.#at] === '^') output += this.#take();
		for (let first = true; ; first = false) {
			const character = this.#characters[this.#at++];
			if (character === undefined) throw unusable(this.#pattern);
			if (character === ']' && !first) return `${output}]`;
			const range = character === '-' && !first && this.#characters[this.#at] !== ']';
			output += character === '\\' ? this.#escape(true) : range ? '-' : literal(character);
		}
	}
}

function literal(character: string): string {
	return `\\u{${(character.codePointAt(0) as number).toString(16)}}`;
}

function unusable(pattern: string, cause?: unknown): UsageError {
	return new UsageError(
		`the regular expression "${pattern}" is not one that tsdup can take as duplicity does; write it in a simpler way, or as a glob in the file exclude`,
		{ cause },
	);
}

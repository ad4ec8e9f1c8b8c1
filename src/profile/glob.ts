/**
 * duplicity's globs, as regular expressions. Characters are Unicode's where a name is UTF-8, and single bytes
 * where it is not: `?` matches `ü`, as it does in duplicity, and also one stray Latin-1 byte.
 */
import { isAscii, isUtf8 } from 'node:buffer';
import { UsageError } from '../errors.js';

/** One pattern, compiled. Paths are full paths as `decodePath` gives them. */
export interface Glob {
	/** The path is what the pattern names, or lies below it. */
	matches(path: string, isDirectory: boolean): boolean;
	/** Something below the directory might match. */
	mayHold(directory: string): boolean;
}

/**
 * Bytes to text, reversibly: a byte that is not part of valid UTF-8 becomes the lone surrogate U+DC00 + byte,
 * which no valid name contains.
 */
export function decodePath(path: Buffer): string {
	if (isAscii(path)) return path.toString('latin1');
	if (isUtf8(path)) return path.toString();
	let text = '';
	for (let i = 0; i < path.length; ) {
		const length = characterLength(path, i);
		text +=
			length === 0 ? String.fromCharCode(0xdc00 + (path[i] as number)) : path.toString('utf8', i, i + length);
		i += length || 1;
	}
	return text;
}

/** Bytes of the UTF-8 character at `offset`; 0 when there is none. */
function characterLength(bytes: Buffer, offset: number): number {
	const first = bytes[offset] as number;
	const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	const character = bytes.subarray(offset, offset + length);
	return character.length === length && isUtf8(character) ? length : 0;
}

/** @throws UsageError when the pattern has two slashes in a row, or a range that runs backwards */
export function compileGlob(pattern: Buffer): Glob {
	const text = decodePath(pattern);
	const [, prefix, rest = ''] = /^(ignorecase:)?(.*)$/is.exec(text) ?? [];
	if (rest.includes('//'))
		throw new UsageError(`"${text}" has two slashes in a row and would match nothing; remove one`);
	const flags = prefix === undefined ? 'su' : 'sui';
	const directoriesOnly = rest.length > 1 && rest.endsWith('/');
	const tokens = tokenize(rest === '/' ? '/**' : directoriesOnly ? rest.slice(0, -1) : rest, text);
	const whole = tokens.map((token) => token.source).join('');
	const below = new RegExp(`^${whole}/`, flags);
	const exact = new RegExp(`^${whole}$`, flags);
	const above = new RegExp(ancestors(tokens), flags);
	return {
		matches(path, isDirectory) {
			// Before `below`, so that `a/**/` names every directory below a, but not the files in them.
			if (exact.test(path)) return isDirectory || !directoriesOnly;
			return below.test(path);
		},
		mayHold: (directory) => above.test(directory === '/' ? '' : directory),
	};
}

interface Token {
	readonly kind: 'slash' | 'any-depth' | 'other';
	/** As a regular expression. */
	readonly source: string;
}

function tokenize(glob: string, pattern: string): Token[] {
	const characters = Array.from(glob);
	const tokens: Token[] = [];
	for (let i = 0; i < characters.length; i++) {
		const character = characters[i] as string;
		const end = character === '[' ? classEnd(characters, i) : -1;
		if (character === '*' && characters[i + 1] === '*') {
			tokens.push({ kind: 'any-depth', source: '.*' });
			i++;
		} else if (character === '*') tokens.push({ kind: 'other', source: '[^/]*' });
		else if (character === '?') tokens.push({ kind: 'other', source: '[^/]' });
		else if (character === '/') tokens.push({ kind: 'slash', source: '/' });
		else if (end > 0) {
			tokens.push({ kind: 'other', source: characterClass(characters.slice(i + 1, end), pattern) });
			i = end;
		} else tokens.push({ kind: 'other', source: literal(character) });
	}
	return tokens;
}

/** Index of the bracket that closes the class opened at `open`, or -1; a bracket right at its start is a member. */
function classEnd(characters: readonly string[], open: number): number {
	const first = characters[open + 1] === '!' || characters[open + 1] === '^' ? open + 2 : open + 1;
	return characters.indexOf(']', first + 1);
}

function characterClass(members: readonly string[], pattern: string): string {
	const negated = members[0] === '!' || members[0] === '^';
	let source = negated ? '[^' : '[';
	for (let i = negated ? 1 : 0; i < members.length; i++) {
		const from = members[i] as string;
		const to = members[i + 1] === '-' ? members[i + 2] : undefined;
		source += literal(from);
		if (to === undefined) continue;
		if ((to.codePointAt(0) as number) < (from.codePointAt(0) as number)) {
			throw new UsageError(`"${pattern}" has the range ${from}-${to}, which runs backwards`);
		}
		source += `-${literal(to)}`;
		i += 2;
	}
	return `${source}]`;
}

/** Directories on the way to a match: every component may be the last; after `**` anything may follow. */
function ancestors(tokens: readonly Token[]): string {
	let source = '^';
	let open = 0;
	for (const token of tokens) {
		if (token.kind === 'slash') {
			source += '(?:/';
			open++;
		} else source += token.source;
		if (token.kind === 'any-depth') break;
	}
	return `${source}${')?'.repeat(open)}$`;
}

function literal(character: string): string {
	return `\\u{${(character.codePointAt(0) as number).toString(16)}}`;
}

/**
 * The manifest: which volumes a set has, their digests and path ranges, and which files the set touched. Written
 * byte for byte as duplicity writes it; read as tolerantly as duplicity reads it, except where a damaged
 * manifest would silently hide a volume.
 */
import { DamageError } from '../errors.js';

/** The first or last entry of a volume. */
export interface ManifestPath {
	/** Relative to the source; empty for the root. */
	readonly path: Buffer;
	/** Which piece of a file in pieces, from 1; null for a whole entry and for a file's last piece. */
	readonly block: number | null;
}

export interface ManifestVolume {
	/** From 1. */
	readonly number: number;
	readonly start: ManifestPath;
	readonly end: ManifestPath;
	/** Of the object as stored, lower-case hex. */
	readonly sha1: string;
}

export type FileChange = 'new' | 'changed' | 'deleted';

/** A regular file that the set touched. */
export interface ManifestFile {
	readonly type: FileChange;
	readonly path: Buffer;
}

export interface Manifest {
	/** null when the manifest has none; stock then skips its source check. */
	readonly hostname: string | null;
	/** The source directory, absolute. */
	readonly localdir: Buffer | null;
	/** Numbered 1, 2, 3 …. */
	readonly volumes: readonly ManifestVolume[];
	/**
	 * May be millions, so a parsed manifest reads them from its bytes while they are iterated;
	 * @throws DamageError from the iteration, when the list is cut short
	 */
	readonly files: Iterable<ManifestFile>;
}

/** A volume's record while its lines are read. */
interface Draft {
	readonly number: number;
	start?: ManifestPath;
	end?: ManifestPath;
	sha1?: string;
}

/** The list of files is turned into bytes in pieces of this many characters, far below a string's limit. */
const pieceLength = 1 << 20;

/** A manifest that is to be written; `files` null: without a list of them. */
export type NewManifest = Omit<Manifest, 'files'> & { readonly files: Iterable<ManifestFile> | null };

/** @throws RangeError when the volumes are not numbered 1, 2, 3 …: stock would silently lose data */
export function formatManifest(manifest: NewManifest): Buffer {
	let head = '';
	if (manifest.hostname !== null) head += `Hostname ${Buffer.from(manifest.hostname).toString('latin1')}\n`;
	if (manifest.localdir !== null) head += `Localdir ${quote(manifest.localdir)}\n`;
	manifest.volumes.forEach((volume, i) => {
		if (volume.number !== i + 1) throw new RangeError(`volume ${volume.number} stands where ${i + 1} must`);
		head += `Volume ${volume.number}:\n`;
		head += `    StartingPath   ${formatPath(volume.start)}\n`;
		head += `    EndingPath     ${formatPath(volume.end)}\n`;
		head += `    Hash SHA1 ${volume.sha1}\n`;
	});
	if (manifest.files === null) return Buffer.from(head, 'latin1');
	const pieces: Buffer[] = [];
	let piece = '';
	let count = 0;
	for (const file of manifest.files) {
		piece += `    ${file.type.padEnd(7)}  ${quote(rootAsDot(file.path))}\n`;
		count++;
		if (piece.length < pieceLength) continue;
		pieces.push(Buffer.from(piece, 'latin1'));
		piece = '';
	}
	pieces.unshift(Buffer.from(`${head}Filelist ${count}\n`, 'latin1'));
	pieces.push(Buffer.from(piece, 'latin1'));
	return Buffer.concat(pieces);
}

/** Where there is no block number a blank stands for it, so that the line ends in two. */
function formatPath({ path, block }: ManifestPath): string {
	return `${quote(rootAsDot(path))} ${block ?? ' '}`;
}

function rootAsDot(path: Buffer): Buffer {
	return path.length === 0 ? Buffer.from('.') : path;
}

function quote(path: Buffer): string {
	const text = path.toString('latin1');
	const quoted = text.replaceAll(
		/[\t-\r "'\\]/g,
		(byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`,
	);
	return quoted === text ? text : `"${quoted}"`;
}

/**
 * @param name of the manifest object, for messages
 * @throws DamageError when there is no volume, a record is incomplete, or volumes are left out
 */
export function parseManifest(bytes: Buffer, name: string): Manifest {
	let hostname: string | null = null;
	let localdir: Buffer | null = null;
	let files: Iterable<ManifestFile> = [];
	let record: Draft = { number: 0 };
	const records: Draft[] = [];
	for (const { text, next } of lines(bytes, 0)) {
		// Not \s: in Latin-1 that is also byte 0xa0, which is part of many UTF-8 names.
		const [, word = '', rest = ''] = /^[ \t]*([A-Za-z]+)[ \t]+(.*)$/s.exec(text) ?? [];
		const indented = text.startsWith(' ') || text.startsWith('\t');
		switch (`${indented ? ' ' : ''}${word.toLowerCase()}`) {
			case 'hostname':
				hostname = Buffer.from(rest, 'latin1').toString();
				break;
			case 'localdir':
				localdir = unquote(rest);
				break;
			case 'volume':
				record = { number: Number(/^(\d+):/.exec(rest)?.[1]) };
				if (!(record.number >= 1 && record.number <= (records.at(-1)?.number ?? 0) + 1)) {
					throw damage(name, `"${text}" follows volume ${records.at(-1)?.number ?? 0}`);
				}
				records.push(record);
				break;
			case 'filelist':
				files = fileList(bytes, next, Number(/^\d+/.exec(rest)?.[0] ?? 0), name);
				record = { number: 0 };
				break;
			case ' startingpath':
				record.start = parsePath(rest, name);
				break;
			case ' endingpath':
				record.end = parsePath(rest, name);
				break;
			case ' hash': {
				const sha1 = /^SHA1[ \t]+([0-9a-f]{40})[ \t]*$/i.exec(rest)?.[1];
				if (sha1 !== undefined) record.sha1 = sha1.toLowerCase();
				break;
			}
		}
	}
	return { hostname, localdir, volumes: lastRecords(records, name), files };
}

/**
 * A run that was interrupted and resumed appends: a volume may stand twice, the last record wins, and what is
 * numbered above the last record is left over from the interrupted run.
 */
function lastRecords(records: readonly Draft[], name: string): ManifestVolume[] {
	const byNumber: ManifestVolume[] = [];
	for (const { number, start, end, sha1 } of records) {
		if (start === undefined || end === undefined || sha1 === undefined) {
			throw damage(name, `volume ${number} lacks its StartingPath, EndingPath or SHA1 hash`);
		}
		byNumber[number - 1] = { number, start, end, sha1 };
	}
	if (byNumber.length === 0) throw damage(name, 'it lists no volume');
	return byNumber.slice(0, records.at(-1)?.number);
}

function* fileList(bytes: Buffer, offset: number, count: number, name: string): Generator<ManifestFile> {
	let seen = 0;
	if (count === 0) return;
	for (const { text } of lines(bytes, offset)) {
		const match = /^[ \t]*(new|changed|deleted)[ \t]+(.*)$/is.exec(text);
		if (match === null) break;
		yield {
			type: (match[1] as string).toLowerCase() as FileChange,
			path: dotAsRoot(unquote(match[2] as string)),
		};
		if (++seen === count) return;
	}
	throw damage(name, `its list of files has ${seen} lines instead of ${count}`);
}

/** Lines as Latin-1 text, without LF or CRLF, each with the offset of the next. */
function* lines(bytes: Buffer, offset: number): Generator<{ text: string; next: number }> {
	for (let start = offset; start < bytes.length; ) {
		const newline = bytes.indexOf(0x0a, start);
		const end = newline < 0 ? bytes.length : newline;
		const text = bytes.toString('latin1', start, end > start && bytes[end - 1] === 0x0d ? end - 1 : end);
		start = end + 1;
		yield { text, next: start };
	}
}

function parsePath(text: string, name: string): ManifestPath {
	const match = /^("[^"]*"|[^\t-\r "]+)[ \t]*(\d*)[ \t]*$/.exec(text);
	if (match === null) throw damage(name, `"${text}" is not a path`);
	const [, path = '', block = ''] = match;
	return { path: dotAsRoot(unquote(path)), block: block === '' ? null : Number(block) };
}

function unquote(text: string): Buffer {
	const plain = text.startsWith('"')
		? text
				.replace(/^"([^"]*)".*$/s, '$1')
				.replaceAll(/\\x([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
		: text;
	return Buffer.from(plain, 'latin1');
}

function dotAsRoot(path: Buffer): Buffer {
	return path.length === 1 && path[0] === 0x2e ? Buffer.alloc(0) : path;
}

function damage(name: string, what: string): DamageError {
	return new DamageError(
		`${name} is damaged: ${what}. Restore that object from another copy, or run duplicity's cleanup to drop its set`,
	);
}

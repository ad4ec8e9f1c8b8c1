/**
 * Which entries of the source a backup takes: duplicity's include and exclude rules over full paths. The walk
 * asks once per entry, parents first, and does not enter a directory that is excluded.
 */
import { UsageError } from '../errors.js';
import { compileGlob, decodePath, type Glob } from './glob.js';
import { compileRegexp } from './regexp.js';
import type { Rule } from './rules.js';

/** `scan`: enter the directory, and take it only if something in it is taken. */
export type Verdict = 'include' | 'exclude' | 'scan';

/** What rules ask about an entry besides its path. */
export interface SelectionEntry {
	/** A real directory, not a link to one. */
	readonly isDirectory: boolean;
	readonly isFile: boolean;
	/** Seconds. */
	readonly mtime: number;
	/** A character or block device. */
	readonly isDevice: boolean;
	/** Its device number differs from the source's. */
	readonly onOtherFilesystem: boolean;
	/** The directory has an entry of this name, of whatever type. Asked of directories only. */
	contains(name: Buffer): boolean;
}

type Test = (path: string, entry: SelectionEntry) => Verdict | null;

const root: SelectionEntry = {
	isDirectory: true,
	isFile: false,
	mtime: 0,
	isDevice: false,
	onOtherFilesystem: false,
	contains: () => false,
};

/** A profile's rules, ready to be asked. The first that decides wins; what none decides is included. */
export class Selection {
	readonly #prefix: string;
	readonly #tests: readonly Test[];

	/**
	 * @param rules in order; those that look at the entry and not its path are tested first wherever they stand,
	 * except other-filesystems
	 * @param sourceRoot as the patterns spell it, which is as it stands in the conf
	 * @throws UsageError for a rule that cannot match anything, and for an include that nothing is excluded after
	 */
	constructor(rules: readonly Rule[], sourceRoot: Buffer) {
		const path = decodePath(sourceRoot).replace(/\/+$/, '');
		this.#prefix = `${path}/`;
		const last = rules.findLast((rule) => !isFront(rule));
		if ((last?.kind === 'glob' || last?.kind === 'regexp') && last.sign === 'include') {
			throw new UsageError(
				`the last selection rule is "+ ${decodePath(last.pattern)}", which has no effect: what no rule excludes is included. Add the excludes it is an exception from, such as "- **"`,
			);
		}
		this.#tests = [...rules.filter(isFront), ...rules.filter((rule) => !isFront(rule))].map((rule) =>
			compile(rule, path || '/'),
		);
	}

	/**
	 * @param path relative to the source root, without slash at either end; the root (empty) is always included
	 * @returns `scan` for directories only
	 */
	select(path: Buffer, entry: SelectionEntry): Verdict {
		if (path.length === 0) return 'include';
		const full = this.#prefix + decodePath(path);
		// An entry that is no directory has nothing in it, so `scan` leaves it out, as duplicity does.
		const scanned = entry.isDirectory ? 'scan' : 'exclude';
		let scan = false;
		for (const test of this.#tests) {
			const verdict = test(full, entry);
			if (verdict === 'scan') scan = true;
			else if (verdict === 'include') return 'include';
			else if (verdict === 'exclude') return scan ? scanned : 'exclude';
		}
		return scan ? scanned : 'include';
	}
}

function isFront(rule: Rule): boolean {
	return rule.kind === 'if-present' || rule.kind === 'device-files';
}

function compile(rule: Rule, sourceRoot: string): Test {
	switch (rule.kind) {
		case 'if-present':
			return (_, entry) => (entry.isDirectory && entry.contains(rule.file) ? 'exclude' : null);
		case 'device-files':
			return (_, entry) => (entry.isDevice ? 'exclude' : null);
		case 'other-filesystems':
			return (_, entry) => (entry.onOtherFilesystem ? 'exclude' : null);
		case 'older-than':
			return (_, entry) => (entry.isFile && entry.mtime < rule.before ? 'exclude' : null);
		case 'regexp': {
			const regexp = compileRegexp(decodePath(rule.pattern));
			return (path) => (regexp.test(path) ? rule.sign : null);
		}
		case 'glob': {
			const glob = compileGlob(rule.pattern);
			if (!glob.matches(sourceRoot, root.isDirectory) && !glob.mayHold(sourceRoot)) {
				throw new UsageError(
					`the selection rule "${decodePath(rule.pattern)}" cannot match anything in ${sourceRoot}; patterns begin with ${sourceRoot} or **`,
				);
			}
			return rule.sign === 'exclude' ? excludes(glob) : includes(glob);
		}
	}
}

function excludes(glob: Glob): Test {
	return (path, entry) => (glob.matches(path, entry.isDirectory) ? 'exclude' : null);
}

function includes(glob: Glob): Test {
	return (path, entry) => {
		if (glob.matches(path, entry.isDirectory)) return 'include';
		return glob.mayHold(path) ? 'scan' : null;
	};
}

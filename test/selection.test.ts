/** Selection rules: against the recorded answers of duplicity, and against duplicity itself. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
	existsSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { compareTuple } from '../src/collection/order.js';
import { parseTime } from '../src/collection/times.js';
import { UsageError } from '../src/errors.js';
import { parseParameters } from '../src/profile/params.js';
import { parseFilelist, type Rule, readRules } from '../src/profile/rules.js';
import { Selection, type SelectionEntry } from '../src/profile/selection.js';

const fixtures = join(import.meta.dirname, '../../test/fixtures');

interface Tree {
	/** Names in a directory, relative path given. */
	names(directory: Buffer): Buffer[];
	entry(path: Buffer): SelectionEntry;
}

/** The paths a backup would take: the walk that Selection is made for. */
function walk(selection: Selection, tree: Tree, directory: Buffer = Buffer.alloc(0)): Buffer[] {
	const taken: Buffer[] = [];
	for (const name of tree.names(directory)) {
		const path = directory.length === 0 ? name : Buffer.concat([directory, Buffer.from('/'), name]);
		const entry = tree.entry(path);
		const verdict = selection.select(path, entry);
		if (verdict === 'exclude') continue;
		const inside = entry.isDirectory ? walk(selection, tree, path) : [];
		if (verdict === 'include' || inside.length > 0) taken.push(path, ...inside);
	}
	return taken;
}

describe('recorded answers', () => {
	interface Case {
		name: string;
		opt?: '--exclude-filelist' | '--include-filelist';
		filelist?: string;
		args?: string[];
		expect: { rc: number; selected?: string[] };
	}
	const vectors = JSON.parse(readFileSync(join(fixtures, 'selection-vectors.json'), 'utf8')) as {
		root: string;
		tree: string[];
		cases: Case[];
	};

	const isDirectory = (path: string) =>
		path === 'empty' || vectors.tree.some((other) => other.startsWith(`${path}/`));
	const tree: Tree = {
		names: (directory) =>
			vectors.tree
				.filter((path) => path !== '.')
				.filter((path) => path.slice(0, Math.max(0, path.lastIndexOf('/'))) === directory.toString())
				.map((path) => Buffer.from(path.slice(path.lastIndexOf('/') + 1))),
		entry: (path) => ({
			isDirectory: isDirectory(path.toString()),
			isFile: !isDirectory(path.toString()) && !['null', 'link'].includes(path.toString()),
			mtime: path.toString() === 'f.txt' ? 1_700_000_000 : 1_600_000_000,
			isDevice: path.toString() === 'null',
			onOtherFilesystem: false,
			contains: (name) => vectors.tree.includes(`${path}/${name}`),
		}),
	};

	assert.equal(vectors.cases.length, 61);
	for (const { name, opt, filelist, args, expect } of vectors.cases) {
		test(name, async () => {
			const rules =
				filelist === undefined
					? await readRules(
							parseParameters((args ?? []).map((word) => Buffer.from(word))).selection,
							'/nonexistent',
							(time) => parseTime(time, 0),
						)
					: parseFilelist(Buffer.from(filelist), opt === '--include-filelist' ? 'include' : 'exclude');
			const select = () => walk(new Selection(rules, Buffer.from(vectors.root)), tree);
			if (expect.rc !== 0) {
				assert.throws(select, UsageError);
				return;
			}
			assert.deepEqual(['.', ...select().map(String)].sort(), [...(expect.selected as string[])].sort());
		});
	}
});

describe('duplicity itself', () => {
	let work: string;
	let source: string;

	before(() => {
		// Lower case: duplicity compares an ignorecase pattern in lower case with the source as it is.
		work = join(tmpdir(), `tsdup-selection-${randomUUID()}`);
		source = join(work, 't');
		for (const dir of ['empty', 'a/b', 'ü', 'deep/q', 'dm'])
			mkdirSync(join(source, dir), { recursive: true });
		for (const file of [
			'a/b/c',
			'a/x\ny',
			'ü/x',
			'ö',
			'z',
			'w]',
			'p^q',
			'abx',
			'deep/q/a.TXT',
			'.dot',
			'a+b',
		]) {
			writeFileSync(join(source, file), '');
		}
		symlinkSync('/nonexistent', join(source, 'dm/MARK'));
		for (const name of ['l\xe4', '\xe4', '\xc3', '\xe2\x82x']) {
			writeFileSync(Buffer.concat([Buffer.from(`${source}/`), Buffer.from(name, 'latin1')]), '');
		}
	});
	after(() => rmSync(work, { recursive: true, force: true }));

	const full = (path: Buffer) => Buffer.concat([Buffer.from(`${source}/`), path]);
	const tree: Tree = {
		names: (directory) => readdirSync(full(directory), { encoding: 'buffer' }),
		entry: (path) => ({
			isDirectory: lstatSync(full(path)).isDirectory(),
			isFile: false,
			mtime: 0,
			isDevice: false,
			onOtherFilesystem: false,
			contains: (name) => {
				const marker = Buffer.concat([full(path), Buffer.from('/'), name]);
				return existsSync(marker) || lstatSync(marker, { throwIfNoEntry: false }) !== undefined;
			},
		}),
	};

	/** A backup without compression is a tar of empty files; its names are what was selected. */
	function selectedByDuplicity(args: string[]): Buffer[] {
		const target = join(work, randomUUID());
		const options = [
			'--no-encryption',
			'--no-compression',
			'--archive-dir',
			join(work, 'cache'),
			'--name',
			basename(target),
		];
		execFileSync('duplicity', ['full', ...options, ...args, source, `file://${target}`], { stdio: 'pipe' });
		const volume = readdirSync(target).find((name) => name.endsWith('difftar')) as string;
		const listing = execFileSync('tar', ['-tf', join(target, volume), '--quoting-style=literal'], {
			encoding: 'latin1',
		});
		const names = listing.split('\n').slice(0, -1);
		assert.equal(names[0], 'snapshot/./');
		return names.slice(1).map((name) => Buffer.from(name.replace(/^snapshot\/(.*?)\/?$/s, '$1'), 'latin1'));
	}

	/** `T` stands for the source. */
	const lists = [
		'- T/?\n- **/c\n',
		'- T/[ö]\n- ignorecase:T/Ü\n- T/[z-\xff]\n',
		'- T/[!a-zö.]*\n',
		'+ T/empty/foo\n+ T/dm/MARK\n- T/a\n- T/d*\n',
		'- /*/*/t/a\n- /t*p/*/t/deep\n',
		'- **/t*a\n- **/[]w]]\n- **/p[\\^]q\n',
		'+ **/\n- **\n',
		'+ T/deep**/\n+ **/a/\n- **\n',
		'- T/*/\n- T/a+b\n- **.dot\n',
		'+ ignorecase:**.txt\n+ T/a/b**c\n- T/**\n',
		'- T**c\n+ T/a/x*\n- T/a/**\n- /tmp**/ü/x\n',
		'- /\n',
		'+ **/c\n- **/deep\n',
		'+ T/abx/foo\n+ T/a/b**c\n- T/z\n',
		'+ T/a**/c\n- T/z\n',
		'+ **b/c\n- T/z\n',
		'+ T/*/b/\n- T/z\n',
		'+ T/*/*/nothing\n- T/z\n',
	];
	for (const list of lists) {
		test(`selects the same with ${JSON.stringify(list)}`, () => {
			const text = Buffer.from(list.replaceAll('T', source));
			writeFileSync(join(work, 'list'), text);
			assertSame(parseFilelist(text, 'exclude'), ['--exclude-filelist', join(work, 'list')]);
		});
	}

	test('selects the same with a marker that is a dangling link', () => {
		assertSame([{ kind: 'if-present', file: Buffer.from('MARK') }], ['--exclude-if-present', 'MARK']);
	});

	/** In lines: tar's listing has no other way to end a name, and one of the names holds a newline. */
	function assertSame(rules: Rule[], args: string[]): void {
		const ours = walk(new Selection(rules, Buffer.from(source)), tree).sort(compareTuple);
		const lines = (paths: Buffer[]) =>
			paths
				.map((path) => path.toString('latin1'))
				.join('\n')
				.split('\n');
		assert.deepEqual(lines(ours), lines(selectedByDuplicity(args)));
	}
});

describe('beyond duplicity', () => {
	const entry: SelectionEntry = {
		isDirectory: false,
		isFile: false,
		mtime: 0,
		isDevice: false,
		onOtherFilesystem: false,
		contains: () => false,
	};
	const rules = (text: string) => parseFilelist(Buffer.from(text), 'exclude');

	test('the source may be / and may end in a slash', () => {
		const root = new Selection(rules('- /proc\n- **/tmp\n'), Buffer.from('/'));
		assert.equal(root.select(Buffer.from('proc/1'), entry), 'exclude');
		assert.equal(root.select(Buffer.from('var/tmp'), entry), 'exclude');
		assert.equal(root.select(Buffer.from('etc/passwd'), entry), 'include');
		const slash = new Selection(rules('- /home/me/x\n'), Buffer.from('/home/me/'));
		assert.equal(slash.select(Buffer.from('x'), entry), 'exclude');
	});

	test('rules about devices come first, other file systems where they stand', () => {
		const device = { ...entry, isDevice: true, onOtherFilesystem: true };
		const selection = (list: Rule[]) => new Selection(list, Buffer.from('/s'));
		const keep: Rule = { kind: 'glob', sign: 'include', pattern: Buffer.from('/s/keep') };
		const keeping = selection([keep, { kind: 'other-filesystems' }]);
		assert.equal(keeping.select(Buffer.from('keep'), device), 'include');
		assert.equal(keeping.select(Buffer.from('drop'), device), 'exclude');
		const devices = selection([
			keep,
			{ kind: 'glob', sign: 'exclude', pattern: Buffer.from('**/x') },
			{ kind: 'device-files' },
		]);
		assert.equal(devices.select(Buffer.from('keep'), device), 'exclude');
	});

	test('a pattern that could never work is an error that shows it', () => {
		for (const [list, message] of [
			['- /s//a\n', /\/s\/\/a/],
			['- /s/a//\n', /two slashes/],
			['- **/[z-a]\n', /z-a/],
			['- /other\n', /\/other.*begin with \/s or/],
			['+ /s/a\n', /last selection rule/],
		] as const) {
			assert.throws(
				() => new Selection(rules(list), Buffer.from('/s')),
				(error) => error instanceof UsageError && message.test(error.message),
				list,
			);
		}
	});
});

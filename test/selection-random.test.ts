/**
 * Random rules over random trees: tsdup selects what duplicity selects. duplicity's own selection runs in one Python process
 * that answers case after case; with --dry-run of the program a case would cost a second.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import {
	lstatSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	symlinkSync,
	utimesSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { parseParameters } from '../src/profile/params.js';
import { compileRegexp } from '../src/profile/regexp.js';
import { readRules } from '../src/profile/rules.js';
import { Selection } from '../src/profile/selection.js';
import { walk } from '../src/source/walk.js';
import { random } from './seeded.js';

const DRIVER = `
import io, json, re, sys
from duplicity import log, path, selection
log.setup()
log.setverbosity(0)
for line in sys.stdin:
	case = json.loads(line)
	try:
		if 'regexp' in case:
			answer = [bool(re.search(case['regexp'], text)) for text in case['texts']]
		else:
			select = selection.Select(path.Path(case['root'].encode()))
			lists = [io.StringIO(text) for text in case['lists']]
			select.ParseArgs([(name, int(value) if 'older' in name else value) for name, value in case['options']], lists)
			answer = ['/'.join(name.decode('utf-8', 'surrogateescape') for name in found.index) for found in select.set_iter()]
	except (Exception, SystemExit):
		answer = None
	print(json.dumps(answer), flush=True)
`;

/** Lower case: duplicity compares an ignorecase pattern in lower case with the source as it is. */
const work = mkdtempSync(join(tmpdir(), 'tsdup-select-')).toLowerCase();
const OLD = 1_600_000_000;
const NAMES = ['a', 'b', 'ab', 'B', 'x.txt', 'c.TXT', '.h', 'w]', 'a+b', 'sp ace', 'é', 'keep', 'MARK'];
let duplicity: ChildProcess;
let answers: AsyncIterator<string>;
let reader: Interface;
const trees: string[] = [];

before(() => {
	mkdirSync(work, { recursive: true });
	for (let i = 0; i < 4; i++) {
		const root = join(work, `t${i}`);
		mkdirSync(root);
		grow(root, 0, random(`tree ${i}`));
		trees.push(root);
	}
	const [, interpreter] = /^#!(\S+)/.exec(readFileSync('/usr/bin/duplicity', 'utf8')) ?? [];
	duplicity = spawn(interpreter as string, ['-c', DRIVER], { stdio: ['pipe', 'pipe', 'ignore'] });
	reader = createInterface({ input: duplicity.stdout as NodeJS.ReadableStream });
	answers = reader[Symbol.asyncIterator]();
});
after(() => {
	duplicity.kill();
	rmSync(work, { recursive: true, force: true });
});

function grow(directory: string, depth: number, next: () => number): void {
	for (const name of NAMES) {
		if (next() < 0.35) continue;
		const path = join(directory, name);
		const kind = next();
		if (kind < 0.45 && depth < 3 && name !== 'MARK') {
			mkdirSync(path);
			grow(path, depth + 1, next);
		} else if (kind > 0.95) {
			symlinkSync('a', path);
		} else {
			writeFileSync(path, '');
			if (next() < 0.5) utimesSync(path, OLD, OLD);
		}
	}
}

async function ask<T>(question: object): Promise<T> {
	duplicity.stdin?.write(`${JSON.stringify(question)}\n`);
	const { value, done } = await answers.next();
	assert.ok(!done, 'the Python process ended');
	return JSON.parse(value) as T;
}

const component = fc.oneof(
	{ weight: 3, arbitrary: fc.constantFrom(...NAMES) },
	fc.constantFrom(
		'*',
		'?',
		'[ab]',
		'[!a]',
		'[^x]?',
		'**',
		'a*',
		'*.txt',
		'*b',
		'[a-c]*',
		'**b',
		'b**',
		'[ab',
		'??',
	),
);
/** `T` is the source. */
const glob = fc
	.record({
		ignoreCase: fc.constantFrom('', '', '', '', 'ignorecase:'),
		start: fc.constantFrom('T/', 'T/', 'T/', '**/', '**', 'T/**/', '/*/*/t', '/'),
		components: fc.array(component, { minLength: 1, maxLength: 3 }),
		end: fc.constantFrom('', '', '', '/', '/**', '/*'),
	})
	.map(({ ignoreCase, start, components, end }) => `${ignoreCase}${start}${components.join('/')}${end}`);
const line = fc.oneof(
	{
		weight: 6,
		arbitrary: fc
			.tuple(fc.constantFrom('- ', '- ', '+ ', ''), glob, fc.constantFrom('', '', ' ', '\r'))
			.map((parts) => parts.join('')),
	},
	fc.constantFrom('', '# a comment', '  ', '- "T/sp ace"', "- 'T/a'", '+ "T/keep"', '- **', '-  T/a', '- T/'),
);
const list = fc.array(line, { maxLength: 6 }).map((lines) => lines.map((text) => `${text}\n`).join(''));
const regexp = fc
	.array(
		fc.constantFrom(
			'a',
			'b',
			'.',
			'\\.',
			'[ab]',
			'[^a]',
			'\\w',
			'\\W',
			'\\d',
			'\\s',
			'\\b',
			'(a|b)',
			'(?:ab)',
			'é',
			'/',
			't',
			'x',
			'+',
			'*',
			'?',
			'{1,2}',
			'{,2}',
			'$',
			'^',
			'\\Z',
			'[\\w.]',
			'[]w]',
			']',
			'}',
			'(?P<n>a)',
			'(?P=n)',
			'(?=b)',
			'(?!b)',
			'\\+',
			'\\-',
			' ',
		),
		{ minLength: 1, maxLength: 6 },
	)
	.map((parts) => parts.join(''));
const option = fc.oneof(
	{ weight: 4, arbitrary: fc.tuple(fc.constantFrom('--exclude-filelist', '--include-filelist'), list) },
	{ weight: 3, arbitrary: fc.tuple(fc.constantFrom('--exclude', '--exclude', '--include'), glob) },
	fc.tuple(
		fc.constantFrom('--exclude-regexp', '--include-regexp'),
		fc.constantFrom('\\.txt$', '/a/', '(?i)b$', '[^/]b$', 'w\\]$'),
	),
	fc.constantFrom(
		['--exclude-if-present', 'MARK'],
		['--exclude-device-files', ''],
		['--exclude-other-filesystems', ''],
		['--exclude-older-than', String(OLD + 1)],
	),
);

test('random lists and options over random trees select what duplicity selects', {
	timeout: 300_000,
}, async () => {
	let refused = 0;
	let partial = 0;
	await fc.assert(
		fc.asyncProperty(fc.nat(3), fc.array(option, { minLength: 1, maxLength: 3 }), async (number, options) => {
			const root = trees[number] as string;
			const spelt = options.map(([name = '', value = '']) => [
				name,
				value.replaceAll(/(^|[ :"'])T\//gm, `$1${root}/`).replaceAll('/*/*/t', '/*/*/t'),
			]);
			const theirs = await ask<string[] | null>({
				root,
				options: spelt.map(([name, value]) => [name, name?.endsWith('filelist') ? 'list' : value]),
				lists: spelt.filter(([name]) => name?.endsWith('filelist')).map(([, value]) => value),
			});
			const ours = await selected(root, spelt);
			if (theirs === null) refused++;
			else if (theirs.length < allPaths(root).length) partial++;
			assert.deepEqual(ours, theirs);
		}),
		{ seed: 1, numRuns: 300 },
	);
	// The generator is worth something only while most cases select a part.
	assert.ok(partial > 60, `${partial} partial, ${refused} refused`);
});

/** In order; null when the rules are refused. */
async function selected(root: string, options: readonly string[][]): Promise<string[] | null> {
	const words: string[] = [];
	for (const [i, [name = '', value = '']] of options.entries()) {
		if (name.endsWith('filelist')) {
			writeFileSync(join(work, `list${i}`), value);
			words.push(name, join(work, `list${i}`));
		} else words.push(...(value === '' ? [name] : [name, value]));
	}
	try {
		const { selection } = parseParameters(words.map((word) => Buffer.from(word)));
		const rules = await readRules(selection, '/nonexistent', Number);
		return walked(root, new Selection(rules, Buffer.from(root)));
	} catch (error) {
		assert.equal((error as Error).name, 'UsageError', String(error));
		return null;
	}
}

function walked(root: string, selection: Pick<Selection, 'select'>): string[] {
	const source = {
		root: Buffer.from(root),
		device: lstatSync(root, { bigint: true }).dev,
		selection,
		unreadable: (_: Buffer, error: unknown) => assert.fail(String(error)),
		skipped: () => assert.fail(),
	};
	return [...walk(source, null)].map(({ path }) => path.toString());
}

function allPaths(root: string): string[] {
	return readdirSync(root, { recursive: true, encoding: 'utf8' });
}

test('random regular expressions find what Python finds, or are refused', { timeout: 300_000 }, async () => {
	const texts = [
		'/t/a',
		'/t/b.txt',
		'/ab/ab',
		'aab',
		'/é/a b',
		'/x_1',
		'/a\n',
		'w]',
		'/a+b-',
		'/t/bb}',
		'/ü9 ',
	];
	let compared = 0;
	await fc.assert(
		fc.asyncProperty(regexp, async (source) => {
			const theirs = await ask<boolean[] | null>({ regexp: source, texts });
			let ours: RegExp;
			try {
				ours = compileRegexp(source);
			} catch {
				return;
			}
			// What is none for Python ends a backup by duplicity; here it may be one.
			if (theirs === null) return;
			assert.deepEqual(
				texts.map((text) => ours.test(text)),
				theirs,
			);
			compared++;
		}),
		{ seed: 2, numRuns: 1000 },
	);
	assert.ok(compared > 400, `${compared} compared`);
});

/** `tsdup verify`: everything that is damaged or lost is found, nothing else is reported; what differs from the source is what duplicity says. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
	chmodSync,
	cpSync,
	existsSync,
	lchownSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	symlinkSync,
	truncateSync,
	utimesSync,
	writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseName } from '../src/collection/names.js';
import { duplicity, profile, sandbox, tsdup } from './cli.js';
import { requests } from './fixtures.js';

const PASSPHRASE = 'a passphrase of the verify test';

const box = sandbox();
const source = join(box.dir, 'source');

after(() => box.remove());

interface Verified {
	readonly code: number;
	readonly objects: { object: string; state: string }[];
	readonly lost: string[];
	readonly differs: Map<string, string[]>;
	readonly summary: { objects: number; coverage: { bytes: number; verified: number } };
	readonly stderr: string;
}

async function verify(args: string[], env: NodeJS.ProcessEnv): Promise<Verified> {
	const { code, stdout, stderr } = await tsdup(['--json', 'verify', ...args], { env });
	const lines = stdout
		.split('\n')
		.filter(Boolean)
		.map((line) => JSON.parse(line));
	const summary = lines.pop()?.summary;
	assert.ok(summary, stdout + stderr);
	return {
		code,
		stderr,
		summary,
		objects: lines.filter(({ object }) => object),
		lost: lines
			.filter(({ lost }) => lost)
			.map(({ path }) => path)
			.sort(),
		differs: new Map(lines.filter(({ differs }) => differs).map(({ path, differs }) => [path, differs])),
	};
}

function write(name: string, content: Buffer | string): void {
	writeFileSync(join(source, name), content);
}

/** Two sets of three files, of which the second changes `a` and `e`; `b` has four frames. */
function files(step: number): void {
	mkdirSync(source, { recursive: true });
	if (step === 0) {
		for (const name of ['a', 'c', 'd']) write(name, randomBytes(1000));
		write('b', randomBytes(3_500_000));
		write('e', randomBytes(300_000));
		write('empty', '');
		return;
	}
	write('a', randomBytes(1001));
	write('e', Buffer.concat([readFileSync(join(source, 'e')), Buffer.from('more')]));
}

function names(target: string): string[] {
	return readdirSync(target).filter((name) => parseName(name));
}

/** Everything of the snapshot that a restore, into a home that knows nothing, cannot bring back. */
async function notRestored(args: string[]): Promise<string[]> {
	const to = join(mkdtempSync(join(box.dir, 'restored-')), 'all');
	const env = { ...box.env, XDG_CACHE_HOME: mkdtempSync(join(box.dir, 'cache-')) };
	await tsdup(['restore', args[0] as string, to], { env });
	return ['a', 'b', 'c', 'd', 'e', 'empty'].filter((name) => {
		const path = join(to, name);
		return !existsSync(path) || !readFileSync(path).equals(readFileSync(join(source, name)));
	});
}

const damages: [string, (path: string) => void][] = [
	[
		'a bit of it is another',
		(path) => {
			const bytes = readFileSync(path);
			const at = Math.floor(bytes.length * 0.6);
			bytes[at] = (bytes[at] as number) ^ 0x10;
			writeFileSync(path, bytes);
		},
	],
	[
		'a bit at its beginning is another',
		(path) => {
			const bytes = readFileSync(path);
			bytes[20] = (bytes[20] as number) ^ 0x10;
			writeFileSync(path, bytes);
		},
	],
	['it is cut off', (path) => truncateSync(path, statSync(path).size - 30)],
	['it is gone', (path) => rmSync(path)],
];

type Part = 'manifest' | 'sigtar' | 'segment' | 'volume';

/** Every kind of object, of both sets, damaged in each way: found, alone, on this machine and on one that has nothing yet. */
function eachDamage(name: string, target: string, pairs: [Part, Part][]): void {
	const pristine = `${target}-pristine`;
	const nth = (part: Part, n: number) => {
		const times = [...new Set(names(pristine).map((name) => parseName(name)?.time ?? 0))].sort(
			(a, b) => a - b,
		);
		const found = names(pristine).filter((name) => {
			const parsed = parseName(name);
			return parsed?.part === part && parsed.time === times[n];
		});
		return found.sort().at(-1) as string;
	};
	for (const parts of pairs) {
		for (const [i, [what, damage]] of damages.entries()) {
			test(`${parts[0]} of the full, ${parts[1]} of the increment: ${what}`, async () => {
				rmSync(target, { recursive: true });
				cpSync(pristine, target, { recursive: true });
				const isGone = what === 'it is gone';
				// A machine that has nothing yet cannot know that a segment was there.
				const isFresh = i % 2 === 1 && !(isGone && parts.includes('segment'));
				const cache = isFresh ? mkdtempSync(join(box.dir, 'cache-')) : box.env.XDG_CACHE_HOME;
				const damaged = parts.map(nth);
				for (const object of damaged) damage(join(target, object));
				const found = await verify([name], { ...box.env, XDG_CACHE_HOME: cache });
				assert.deepEqual(
					found.objects.map(({ object, state }) => `${object} ${state}`).sort(),
					damaged.map((object) => `${object} ${isGone ? 'missing' : 'damaged'}`).sort(),
					found.stderr,
				);
				assert.equal(found.code, 4);
				if (!parts.includes('volume')) assert.deepEqual(found.lost, []);
				else if (i !== 1) assert.deepEqual(found.lost, await notRestored([name]));
			});
		}
	}

	test('what was mended is good again', async () => {
		rmSync(target, { recursive: true });
		cpSync(pristine, target, { recursive: true });
		const { code, objects, stderr } = await verify([name], box.env);
		assert.deepEqual(objects, []);
		assert.equal(code, 0, stderr);
	});
}

describe('what tsdup wrote', () => {
	const target = join(box.dir, 'own');

	before(async () => {
		rmSync(source, { recursive: true, force: true });
		profile(box, 'own', `SOURCE='${source}'\nTARGET='file://${target}'\nGPG_PW='${PASSPHRASE}'\n`);
		for (const step of [0, 1]) {
			files(step);
			const { code, stderr } = await tsdup(['backup', 'own'], box);
			assert.equal(code, 0, stderr);
		}
		cpSync(target, `${target}-pristine`, { recursive: true });
	});

	eachDamage('own', target, [
		['manifest', 'volume'],
		['sigtar', 'segment'],
		['segment', 'sigtar'],
		['volume', 'manifest'],
	]);

	test('is asked for once, object by object, and nothing else is', async () => {
		const env = { ...box.env, TSDUP_TRACE: join(box.dir, 'trace') };
		const { code, summary } = await verify(['own'], env);
		assert.equal(code, 0);
		const made = requests({ ...box, env });
		assert.deepEqual(
			made
				.filter(({ op }) => op === 'stream')
				.map(({ name }) => name)
				.sort(),
			names(target).sort(),
		);
		assert.equal(summary.objects, names(target).length);
		assert.deepEqual(
			made.filter(({ op }) => op !== 'stream').map(({ op }) => op),
			['list'],
		);
	});

	test('of an older snapshot: only what it needs', async () => {
		const time = Math.min(...names(target).map((name) => parseName(name)?.time ?? 0));
		const inc = names(target).find((name) => name.startsWith('duplicity-inc') && name.includes('.vol'));
		rmSync(join(target, inc as string));
		assert.equal((await verify(['own', String(time)], box.env)).code, 0);
		assert.equal((await verify(['own'], box.env)).code, 4);
		cpSync(`${target}-pristine`, target, { recursive: true });
		const { code } = await tsdup(['verify', 'own', String(time - 1)], box);
		assert.equal(code, 2, 'there is none before the first');
	});

	test('another passphrase is no damage', async () => {
		profile(box, 'wrong', `SOURCE='${source}'\nTARGET='file://${target}'\nGPG_PW='another'\n`);
		const { code } = await tsdup(['verify', 'wrong'], box);
		assert.equal(code, 6);
	});

	test('a sample: each object gets its turn, and damage is found when it has come', async () => {
		const env = { ...box.env, XDG_CACHE_HOME: mkdtempSync(join(box.dir, 'cache-')) };
		const total = names(target).length;
		const sigtar = names(target).find((name) => name.includes('new-signatures')) as string;
		truncateSync(join(target, sigtar), 100);
		const found: string[] = [];
		for (let run = 1; run <= total; run++) {
			const traced = { ...env, TSDUP_TRACE: join(box.dir, `trace-${run}`) };
			const { summary, objects } = await verify(['own', '--sample', '0.001%'], traced);
			assert.equal(summary.objects, 1);
			const [only] = requests({ ...box, env: traced })
				.filter(({ op }) => op === 'stream')
				.slice(-1);
			found.push(only?.name as string);
			assert.deepEqual(
				objects.map(({ object }) => object),
				only?.name === sigtar && !found.slice(0, -1).includes(sigtar) ? [sigtar] : [],
			);
			// What is not good is in the next sample, too.
			if (only?.name === sigtar) cpSync(`${target}-pristine`, target, { recursive: true });
		}
		assert.equal(new Set(found).size, total - 1);
		const { summary } = await verify(['own', '--sample=0.001'], env);
		assert.equal(summary.coverage.verified, summary.coverage.bytes);
		assert.equal((await tsdup(['verify', 'own', '--sample', 'many'], { env })).code, 2);
	});
});

describe('what duplicity wrote', () => {
	const target = join(box.dir, 'foreign');

	before(async () => {
		rmSync(source, { recursive: true, force: true });
		profile(box, 'foreign', `SOURCE='${source}'\nTARGET='file://${target}'\nGPG_PW='${PASSPHRASE}'\n`);
		for (const step of [0, 1]) {
			files(step);
			const args = ['--volsize', '1', '--allow-source-mismatch', source, `file://${target}`];
			const { code, stderr } = await duplicity(args, { env: { ...box.env, PASSPHRASE } });
			assert.equal(code, 0, stderr);
		}
		cpSync(target, `${target}-pristine`, { recursive: true });
	});

	eachDamage('foreign', target, [
		['manifest', 'volume'],
		['sigtar', 'manifest'],
		['volume', 'sigtar'],
	]);
});

describe('compared with the source', () => {
	const target = join(box.dir, 'compared');

	/** Paths that stock finds different. */
	async function stock(): Promise<Set<string>> {
		const args = ['verify', '--compare-data', '--exclude', `${source}/left out`, `file://${target}`, source];
		const { code, stdout, stderr } = await duplicity(args, { env: { ...box.env, PASSPHRASE } });
		const found = new Set<string>();
		for (const line of stdout.split('\n')) {
			const [, path] =
				/^Difference found: (?:New file|Data for file|File|Symlink) (.*?)(?: is | has | points |$)/.exec(
					line,
				) ?? [];
			if (path) found.add(path);
		}
		assert.equal(code, found.size > 0 ? 1 : 0, stderr);
		return found;
	}

	before(async () => {
		rmSync(source, { recursive: true, force: true });
		mkdirSync(join(source, 'dir'), { recursive: true });
		const long = new Date('2020-01-01T00:00:00Z');
		for (const name of ['content', 'size', 'time', 'mode', 'dir/owner', 'gone', 'type', 'same', 'nanos']) {
			write(name, `of ${name}`);
			utimesSync(join(source, name), long, long);
		}
		write('large', randomBytes(3_000_000));
		symlinkSync('same', join(source, 'link'));
		const dir = profile(
			box,
			'compared',
			`SOURCE='${source}'\nTARGET='file://${target}'\nGPG_PW='${PASSPHRASE}'\n`,
		);
		writeFileSync(join(dir, 'exclude'), `- ${source}/left out\n`);
		const { code, stderr } = await tsdup(['backup', 'compared'], box);
		assert.equal(code, 0, stderr);
	});

	test('nothing differs, and what is left out does not', async () => {
		write('left out', 'x');
		utimesSync(source, statSync(source).atime, statSync(join(source, 'dir')).mtime);
		const { code, differs } = await verify(['compared', '--compare-data'], box.env);
		const found = await stock();
		assert.deepEqual([...differs.keys()], [...found]);
		assert.ok(code === 0 || (found.has('.') && code === 4));
	});

	test('what differs is what duplicity finds', async () => {
		const at = (name: string) => join(source, name);
		const long = new Date('2020-01-01T00:00:00Z');
		const keepTime = (name: string, act: () => void) => {
			const { atime, mtime } = statSync(at(name));
			act();
			utimesSync(at(name), atime, mtime);
		};
		keepTime('content', () => write('content', 'OF content'));
		keepTime('large', () => {
			const bytes = readFileSync(at('large'));
			bytes[2_500_000] = (bytes[2_500_000] as number) ^ 1;
			writeFileSync(at('large'), bytes);
		});
		write('size', 'of another size');
		utimesSync(at('time'), long, new Date('2021-01-01T00:00:00Z'));
		// Below a second: duplicity's format does not have it.
		utimesSync(at('nanos'), long, new Date('2020-01-01T00:00:00.500Z'));
		chmodSync(at('mode'), 0o600);
		if (process.getuid?.() === 0) lchownSync(at('dir/owner'), 1234, 1234);
		rmSync(at('gone'));
		rmSync(at('type'));
		mkdirSync(at('type'));
		rmSync(at('link'));
		symlinkSync('gone', at('link'));
		write('new', '');
		const { code, differs } = await verify(['compared', '--compare-data'], box.env);
		assert.equal(code, 4);
		assert.deepEqual([...differs.keys()].sort(), [...(await stock())].sort());
		assert.deepEqual(differs.get('content'), ['content']);
		assert.deepEqual(differs.get('large'), ['content']);
		assert.deepEqual(differs.get('size'), ['time', 'content']);
		assert.deepEqual(differs.get('mode'), ['mode']);
		assert.deepEqual(differs.get('gone'), ['missing']);
		assert.deepEqual(differs.get('new'), ['new']);
		assert.deepEqual(differs.get('type'), ['type']);
		assert.deepEqual(differs.get('link'), ['link']);
		assert.equal((await verify(['compared'], box.env)).code, 0, 'without it the source is not looked at');
	});
});

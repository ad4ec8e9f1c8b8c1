/**
 * Which sets go is what duply and duplicity say: over random histories, of whole collections and of damaged ones. Histories
 * are names only, with a manifest that stock can read: nothing else is looked at.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { manifestName, parseName, type SetName, sigtarName, volumeName } from '../src/collection/names.js';
import { standardForms } from '../src/profile/name-forms.js';
import { cleanup, purge, type RetentionReport } from '../src/retention/retention.js';
import type { Rule } from '../src/retention/rules.js';
import { FolderTarget } from '../src/target/file.js';
import { duplicity, profile, sandbox, tsdup } from './cli.js';

const run = promisify(execFile);
const DAY = 86_400;
/** Of the first set, s. */
const FIRST = 1_577_836_800;
const box = sandbox();
const url = (folder: string) => `file://${folder}`;

after(() => box.remove());

/** One entry for each chain, oldest first: how many days after the one before it begins, and how many increments it has. */
type Chains = readonly { readonly pause: number; readonly increments: number }[];

/** Chains do not overlap, or stock takes none of the commands. */
const anyChains = fc.array(fc.record({ pause: fc.integer({ min: 1, max: 60 }), increments: fc.nat(4) }), {
	minLength: 1,
	maxLength: 6,
});

const TWO_CHAINS: Chains = [
	{ pause: 1, increments: 1 },
	{ pause: 9, increments: 0 },
];

function setsOf(chains: Chains): SetName[] {
	let time = FIRST;
	return chains.flatMap(({ pause, increments }) => {
		time += pause * DAY;
		const sets: SetName[] = [{ kind: 'full', start: null, time }];
		for (let i = 0; i < increments; i++) {
			sets.push({ kind: 'inc', start: time, time: time + DAY });
			time += DAY;
		}
		return sets;
	});
}

type Part = 'manifest' | 'sigtar' | 'volume 1' | 'volume 2';

function namesOf(set: SetName): Record<Part, string> {
	return {
		manifest: manifestName(set, 'none'),
		sigtar: sigtarName(set, 'none'),
		'volume 1': volumeName(set, 1, 'none'),
		'volume 2': volumeName(set, 2, 'none'),
	};
}

const volume = (number: number) =>
	`Volume ${number}:\n    StartingPath   .  \n    EndingPath     .  \n    Hash SHA1 ${'0'.repeat(40)}\n`;
const MANIFEST = `Hostname h\nLocaldir /s\n${volume(1)}${volume(2)}`;

/** @returns a new folder with the objects */
function collection(names: readonly string[]): string {
	const folder = join(box.dir, 'target');
	rmSync(folder, { recursive: true, force: true });
	mkdirSync(folder);
	for (const name of names) {
		writeFileSync(join(folder, name), name.includes('.manifest') ? MANIFEST : gzipSync(name));
	}
	return folder;
}

/** What stock leaves of a copy of the folder. */
async function leftByStock(folder: string, ...commands: readonly (readonly string[])[]): Promise<string[]> {
	const copy = `${folder}-of-stock`;
	rmSync(copy, { recursive: true, force: true });
	cpSync(folder, copy, { recursive: true });
	const archive = join(box.dir, 'archive');
	for (const command of commands) {
		const args = [...command, '--force', '--no-encryption', '--archive-dir', archive, url(copy)];
		const { code, stdout, stderr } = await duplicity(args, box);
		assert.equal(code, 0, stdout + stderr);
	}
	rmSync(archive, { recursive: true, force: true });
	return readdirSync(copy).sort();
}

/** What tsdup leaves of the folder itself; without force it changes nothing, and says the same. */
async function leftByTsdup(
	folder: string,
	act: (options: Parameters<typeof purge>[0]) => Promise<RetentionReport>,
): Promise<string[]> {
	const cacheDir = join(box.dir, 'index');
	rmSync(cacheDir, { recursive: true, force: true });
	const options = { target: new FolderTarget(folder), nameForms: standardForms, cacheDir };
	const before = readdirSync(folder).sort();
	const dry = await act({ ...options, force: false });
	assert.deepEqual(readdirSync(folder).sort(), before);
	assert.deepEqual(await act({ ...options, force: true }), dry);
	const left = readdirSync(folder).sort();
	const listed = dry.removals.flatMap(({ objects }) => objects.map(({ name }) => name));
	assert.deepEqual(
		left,
		before.filter((name) => !listed.includes(name)),
	);
	return left;
}

type RuleOf = (sets: readonly SetName[]) => { rule: Rule; command: readonly string[] };

/** So many seconds after the time of one of a history's sets; also just that time. */
const age =
	(at: number, more: number): RuleOf =>
	(sets) => {
		const before = (sets[at % sets.length] as SetName).time + more;
		return { rule: { kind: 'age', before }, command: ['remove-older-than', String(before)] };
	};

/** A rule for a history, and how stock is told it. */
const anyRule = fc.oneof(
	fc
		.record({ at: fc.nat(100), more: fc.constantFrom(0, 1, -1, 30 * DAY) })
		.map(({ at, more }) => age(at, more)),
	fc.integer({ min: 1, max: 5 }).map(
		(keep): RuleOf =>
			() => {
				return { rule: { kind: 'fulls', keep } as Rule, command: ['remove-all-but-n-full', String(keep)] };
			},
	),
	fc.integer({ min: 1, max: 5 }).map(
		(keep): RuleOf =>
			() => {
				return {
					rule: { kind: 'increments', keep } as Rule,
					command: ['remove-all-inc-of-but-n-full', String(keep)],
				};
			},
	),
);

describe('of random histories', () => {
	test('the same objects stay as with duplicity, after one purge or several', () =>
		fc.assert(
			fc.asyncProperty(
				anyChains,
				fc.array(anyRule, { minLength: 1, maxLength: 2 }),
				async (chains, given) => {
					const sets = setsOf(chains);
					const rules = given.map((rule) => rule(sets));
					const folder = collection(sets.flatMap((set) => Object.values(namesOf(set))));
					const stock = await leftByStock(folder, ...rules.map(({ command }) => command));
					const own = await leftByTsdup(folder, (options) =>
						purge(
							options,
							rules.map(({ rule }) => rule),
						),
					);
					assert.deepEqual(own, stock);
				},
			),
			{
				seed: 20_101_004,
				numRuns: 14,
				endOnFailure: true,
				// Of exactly the end of a chain, and a second later.
				examples: [0, 1].map((more) => [TWO_CHAINS, [age(1, more)]] as [Chains, RuleOf[]]),
			},
		));

	test('that lost objects, cleanup deletes what duplicity deletes, but for what tsdup can still show', () =>
		fc.assert(
			fc.asyncProperty(anyChains, anyLosses, async (chains, losses) => {
				const sets = setsOf(chains);
				const lost = new Set<string>();
				for (const { at, parts } of losses) {
					const names = namesOf(sets[Math.floor(at * sets.length)] as SetName);
					for (const part of parts) lost.add(names[part]);
				}
				const all = sets.flatMap((set) => Object.values(namesOf(set)));
				const folder = collection(all.filter((name) => !lost.has(name)));
				const stock = await leftByStock(folder, ['cleanup']);
				const own = await leftByTsdup(folder, cleanup);
				const mayStay = readable(sets, lost);
				const more = own.filter((name) => !stock.includes(name));
				for (const name of more) {
					assert.ok(mayStay.has(parseName(name)?.time ?? 0), `${name} stays, though no set needs it`);
				}
				const less = stock.filter((name) => !own.includes(name));
				// Signatures from a full on are a chain of their own to stock, whether or not there is anything that they are of.
				for (const name of less) assert.match(name, /^duplicity-(full|new)-signatures/);
				for (const name of less) assert.ok(!mayStay.has(parseName(name)?.time ?? 0), name);
			}),
			{ seed: 20_101_004, numRuns: 10, endOnFailure: true },
		));
});

const anyLosses = fc.array(
	fc.record({
		at: fc.double({ min: 0, max: 0.999, noNaN: true }),
		parts: fc.oneof(
			fc.constant<Part[]>(['manifest']),
			fc.constant<Part[]>(['sigtar']),
			fc.constant<Part[]>(['manifest', 'sigtar']),
			fc.constant<Part[]>(['manifest', 'volume 1']),
			fc.constant<Part[]>(['manifest', 'volume 1', 'volume 2']),
			fc.constant<Part[]>(['manifest', 'sigtar', 'volume 1', 'volume 2']),
		),
	}),
	{ minLength: 1, maxLength: 3 },
);

/** Times of the sets that tsdup can show: from a full on, up to the first that lacks its manifest and more. */
function readable(sets: readonly SetName[], lost: ReadonlySet<string>): Set<number> {
	const times = new Set<number>();
	for (const set of sets) {
		const names = namesOf(set);
		const has = (part: Part) => !lost.has(names[part]);
		// That the last volume is lost cannot be seen without the manifest.
		const whole = has('manifest') || (has('sigtar') && has('volume 1'));
		if (whole && (set.start === null || times.has(set.start))) times.add(set.time);
	}
	return times;
}

describe('duply itself', () => {
	const conf = (folder: string) =>
		`SOURCE='${box.dir}'\nTARGET='${url(folder)}'\nGPG_KEY='disabled'\nMAX_FULL_BACKUPS=3\nMAX_FULLS_WITH_INCRS=2\n`;
	const chains = [10, 40, 40, 40, 40].map((pause, i) => ({ pause, increments: i % 3 }));
	/** Before the second and third chain end, by the clock of today. */
	const days = Math.floor((Date.now() / 1000 - FIRST) / DAY);

	async function duply(folder: string, args: readonly string[]): Promise<string[]> {
		const copy = `${folder}-of-duply`;
		rmSync(copy, { recursive: true, force: true });
		cpSync(folder, copy, { recursive: true });
		const dir = profile(box, 'of-duply', conf(copy));
		writeFileSync(join(dir, 'exclude'), '');
		await run('duply', [dir, ...args], { env: box.env });
		return readdirSync(copy).sort();
	}

	for (const args of [
		['purge', `${days - 100}D`],
		['purge', '2020-03-20T00:00:00+00:00'],
		['purge-full'],
		['purge-full', '1'],
		['purge-incr'],
		['purge-incr', '1'],
		['purge-auto'],
		['cleanup'],
	] as const) {
		test(`${args.join(' ')} leaves the same`, async () => {
			const orphan: SetName = { kind: 'inc', start: FIRST - DAY, time: FIRST };
			const folder = collection([...setsOf(chains), orphan].flatMap((set) => Object.values(namesOf(set))));
			const [command, ...rest] = args;
			const word = command.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase());
			const left = await duply(folder, [word, ...rest, '--force']);
			assert.ok(left.length < readdirSync(folder).length, 'duply deletes something');
			profile(box, 'p', conf(folder));
			const { code, stderr } = await tsdup([command, 'p', ...rest, '--force'], box);
			assert.equal(code, 0, stderr);
			assert.deepEqual(readdirSync(folder).sort(), left);
		});
	}
});

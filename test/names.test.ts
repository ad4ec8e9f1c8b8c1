/** Every form of object name that duplicity has ever written is read, and nothing else is taken for one. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { openProfile } from '../src/collection/access.js';
import type { Collection } from '../src/collection/backup-set.js';
import { mend } from '../src/collection/chains.js';
import {
	manifestName,
	type ParsedName,
	parseName,
	type SetName,
	sigtarName,
	volumeName,
} from '../src/collection/names.js';
import { collect } from '../src/collection/sets.js';
import { type NameForms, standardForms } from '../src/profile/name-forms.js';
import { duplicity, profile, type Sandbox, sandbox, tsdup } from './cli.js';

const fixtures = join(import.meta.dirname, '../../test/fixtures');
const step = (n: number) => 1_700_000_000 + n * 86_400;
const prefix08: NameForms = {
	...standardForms,
	prefix: 'all-',
	manifestPrefix: 'man-',
	archivePrefix: 'arc-',
	signaturePrefix: 'sig-',
};

let box: Sandbox;
before(() => {
	box = sandbox();
});
after(() => box.remove());

/** Names of a fixture's objects, from its archive's table. */
function listing(fixture: string, folder = fixture): string[] {
	const table = execFileSync('tar', ['-tzf', join(fixtures, `${fixture}.tar.gz`)], { encoding: 'utf8' });
	return table
		.split('\n')
		.filter((path) => path.startsWith(`${folder}/`) && !path.endsWith('/'))
		.map((path) => path.slice(folder.length + 1));
}

function collected(names: readonly string[], forms?: NameForms): Collection {
	return collect(
		names.map((name) => ({ name, size: 1 })),
		forms,
	);
}

const steps = (sets: readonly { time: number }[]) => sets.map((set) => (set.time - step(0)) / 86_400);

function whole(set: SetName, volumes = 1): string[] {
	const numbers = Array.from({ length: volumes }, (_, i) => i + 1);
	return [...numbers.map((n) => volumeName(set, n, 'gpg')), sigtarName(set, 'gpg'), manifestName(set, 'gpg')];
}

describe('the listing of every fixture', () => {
	const expected: Record<string, number[][]> = {
		'shortnames-08': [[0, 1]],
		'prefix-08': [[0, 1]],
		'uncompressed-08': [[0, 1]],
		'multivol-08': [[0, 1]],
		'single-08': [[0, 1]],
		'ocb-31': [[0, 1]],
		'resumed-08': [[0]],
		'chains-08': [
			[0, 1, 2],
			[3, 4, 5],
		],
		'plain-08': [[0, 1, 2, 3, 4, 5]],
		'plain-30': [[0, 1, 2, 3, 4, 5]],
		'plain-31': [[0, 1, 2, 3, 4, 5]],
		'sym-31': [[0, 1, 2, 3, 4, 5]],
		extrafiles: [[0, 1, 2, 3, 4, 5]],
		'dmg-badhash': [[0, 1, 2, 3, 4, 5]],
		'dmg-novol': [[0, 1, 2, 3, 4, 5]],
		'dmg-nosig': [[0, 1, 2, 3, 4, 5]],
		'dmg-nomanifest': [[0, 1, 2, 3, 4]],
	};
	for (const [fixture, chains] of Object.entries(expected)) {
		test(`${fixture}: no object is overlooked`, () => {
			const names = listing(fixture);
			const collection = collected(names, fixture === 'prefix-08' ? prefix08 : standardForms);
			assert.deepEqual(
				collection.chains.map(({ sets }) => steps(sets)),
				chains,
			);
			assert.equal(collection.foreign, fixture === 'extrafiles' ? 5 : 0);
			const sets = [...collection.chains.flatMap((chain) => chain.sets), ...collection.incomplete];
			const objects = sets.flatMap((set) => [
				...set.volumes,
				...[set.manifest, set.sigtar, set.segment, set.jsonstat].filter((object) => object !== null),
			]);
			assert.equal(objects.length + collection.foreign, names.length);
			for (const { name } of objects) assert.ok(names.includes(name), name);
			for (const set of sets) {
				assert.equal(set.jsonstat !== null, fixture === 'plain-31');
				assert.equal(set.volumes.length === 0, fixture === 'dmg-novol' && set.time === step(3));
				assert.equal(set.sigtar === null, fixture === 'dmg-nosig' && set.time === step(5));
			}
		});
	}

	test('interrupted-08: an incomplete set, and what lies in the archive folder is foreign', () => {
		const stored = collected(listing('interrupted-08', 'interrupted-08/target'));
		assert.deepEqual([stored.chains, stored.incomplete[0]?.volumes.length, stored.foreign], [[], 3, 0]);
		const parts = listing('interrupted-08', 'interrupted-08/archive-dir');
		assert.deepEqual([parts.length, collected(parts).foreign], [2, 2]);
	});

	test('prefixed names are foreign without their prefix, and others with it', () => {
		assert.equal(collected(listing('prefix-08')).foreign, 6);
		assert.equal(collected(listing('prefix-08'), { ...prefix08, prefix: '' }).foreign, 6);
		const volumesOnly = collected(listing('prefix-08'), { ...standardForms, archivePrefix: 'all-arc-' });
		assert.deepEqual([volumesOnly.incomplete.length, volumesOnly.foreign], [2, 4]);
		assert.equal(collected(listing('plain-08'), prefix08).foreign, 18);
		assert.equal(parseName('all-tsdup-index.20231114T221320Z.segment.gpg', prefix08), null);
		assert.equal(parseName('tsdup-index.20231114T221320Z.segment.gpg', prefix08), null);
	});
});

/** Names as duplicity's own code makes them, with what they were made of: all kinds, zones, forms, protections. */
const generator = `
import json, os, sys, time
from duplicity import config, dup_time, file_naming
seconds = [1234567890, 1286199338, 1700000000, 1720000000, 1743296400, 2200000000]
out = []
def add(part, kind, start, end, volume, enc, gz, name):
    out.append(dict(name=name.decode(), part=part, kind=kind, start=start, time=end, volume=volume,
        encrypted=enc, compressed=gz and not enc, separator=config.time_separator))
for zone in ['UTC', 'Europe/Berlin', 'America/St_Johns', 'Asia/Kolkata', 'Pacific/Marquesas', 'Pacific/Kiritimati']:
    os.environ['TZ'] = zone
    time.tzset()
    for old, short, separator in [(0, 0, ':'), (1, 0, ':'), (1, 0, '_'), (1, 0, '.'), (0, 1, ':')]:
        config.old_filenames, config.short_filenames, config.time_separator = old, short, separator
        for i, end in enumerate(seconds):
            start = seconds[i - 1]
            dup_time.setcurtime(end)
            dup_time.setprevtime(start)
            for enc, gz in [(0, 0), (0, 1), (1, 0)]:
                p = dict(encrypted=enc, gzipped=gz)
                for kind, begin in [('full', None), ('inc', start)]:
                    for n in [1, 9, 10, 35, 36, 1295, 46656]:
                        add('volume', kind, begin, end, n, enc, gz, file_naming.get(kind, volume_number=n, **p))
                    if not gz:
                        add('manifest', kind, begin, end, None, enc, gz, file_naming.get(kind, manifest=True, **p))
                add('sigtar', 'full', None, end, None, enc, gz, file_naming.get('full-sig', **p))
                add('sigtar', 'inc', start, end, None, enc, gz, file_naming.get('new-sig', **p))
json.dump(out, sys.stdout)
`;

interface Made extends Omit<ParsedName, 'gpgsm' | 'encrypted' | 'compressed'> {
	encrypted: number;
	compressed: number;
	separator: string;
}

describe('names that duplicity makes', () => {
	let made: Made[];
	before(() => {
		const json = execFileSync('/usr/bin/python3', ['-c', generator], { env: box.env, maxBuffer: 2 ** 26 });
		made = JSON.parse(json.toString()) as Made[];
	});

	test('standard, old and short ones in any zone tell what they were made of', () => {
		assert.ok(made.length > 5000);
		for (const { separator, ...expected } of made) {
			const forms = { ...standardForms, timeSeparator: separator };
			assert.deepEqual(
				parseName(expected.name, forms),
				{
					...expected,
					encrypted: expected.encrypted === 1,
					compressed: Boolean(expected.compressed),
					gpgsm: false,
				},
				expected.name,
			);
		}
	});

	test('with prefixes, each kind has its own', () => {
		const forms = { ...prefix08, archivePrefix: 'cold/', jsonstatPrefix: 'stat+', prefix: 'a.b ' };
		for (const { separator, name, part, volume, time } of made) {
			if (separator !== ':') continue;
			const own = { volume: 'cold/', manifest: 'man-', sigtar: 'sig-', jsonstat: '', segment: '' }[part];
			const parsed = parseName(`a.b ${own}${name}`, forms);
			assert.deepEqual(
				[parsed?.name, parsed?.part, parsed?.volume, parsed?.time],
				[`a.b ${own}${name}`, part, volume, time],
			);
			assert.equal(parseName(`axb ${own}${name}`, forms), null);
			assert.equal(parseName(name, forms), null);
		}
		const stat = 'a.b stat+duplicity-full.20231114T221320Z.jsonstat.gpg';
		assert.equal(parseName(stat, forms)?.part, 'jsonstat');
	});

	test('old ones with another separator are foreign', () => {
		const others = made.filter(({ separator }) => separator !== ':');
		assert.ok(others.length > 1000);
		for (const { name } of others) assert.equal(parseName(name), null, name);
	});

	test('a store that gives them back in lower case does no harm', () => {
		for (const { name, time, separator } of made) {
			const forms = { ...standardForms, timeSeparator: separator };
			assert.equal(parseName(name.toLowerCase(), forms)?.time, time, name);
		}
	});

	test('look-alikes are foreign', () => {
		for (const name of [
			...['df.s44we8.1.dt.gz', 'df.s44we8.1.dt.z.tmp', 'df.s44we8.1.dt.g.par2', 'df.s44we8.01.dt'],
			...['df.s44we8.0.dt', 'df.s44we8.dt', 'df.s44we8.s46r28.1.dt', 'di.s44we8.1.dt', 'df.s44we8.m.z'],
			...['df.s44we8.m.p', 'df.s44we8.p.m', 'dfs.s44we8.s46r28.st', 'dns.s44we8.st', 'dfs.s44we8.1.st'],
			...['df.S44WE8.m', 'df.0s44we8.m', 'df.1.m', 'df.index.m', 'xdf.s44we8.m', 'df.s44we8.m\n'],
			...['dfst.s44we8.m', 'df.s44we8.jst', 'df.20231114T221320Z.m', 'duplicity-full.s44we8.manifest'],
			'duplicity-full.2023-11-14T22:13:20.manifest',
			'duplicity-full.2023-11-14.manifest',
			'duplicity-full.1700000000.manifest',
			'duplicity-full.now.manifest',
			'duplicity-full.2023-02-30T22:13:20Z.manifest',
			'duplicity-full.2023-11-14T22:13:20+0100.manifest',
			'duplicity-full.2023-11-14T22:13:20+01_00.manifest',
			'duplicity-full.2023-11-14T23:13:20+01:00.manifest.gz',
			'duplicity-full.2023-11-14T23:13:20+01:00.vol1.difftar.gpg.par2',
			'duplicity-full.2023-11-14T23:13:20+01:00.vol1.difftar.gz~',
			'duplicity-full.20231114T221320Z.vol1.difftar.g',
			'duplicity-full.20231114T221320Z.vol1.difftarxgpg',
			'duplicity-full.20231114T221320Z.jsonstat.tmp',
			'duplicity-full.20231114T221320Z.to.20231115T221320Z.jsonstat',
			'duplicity-inc.20231114T221320Z.jsonstat',
			'duplicity-inc.nonsense.to.20231115T221320Z.manifest',
			'tsdup-index.s44we8.segment.gpg.tmp',
		]) {
			assert.equal(parseName(name), null, name);
		}
	});
});

test('collections that duplicity writes with old names are chains at the right times', async () => {
	const source = join(box.dir, 'source');
	mkdirSync(source);
	writeFileSync(join(source, 'file'), 'content');
	const write = async (zone: string, options: readonly string[], forms: NameForms) => {
		const target = mkdtempSync(join(box.dir, 'old-'));
		const env = { ...box.env, TZ: zone };
		for (const time of [1_700_000_000, 1_720_000_000]) {
			const given = ['--no-encryption', '--old-filenames', ...options, '--current-time', String(time)];
			const { code, stderr } = await duplicity([...given, source, `file://${target}`], { env });
			assert.equal(code, 0, stderr);
		}
		const names = readdirSync(target);
		const { chains, foreign } = collected(names, forms);
		assert.deepEqual(
			chains.map(({ sets }) => sets.map(({ time }) => time)),
			[[1_700_000_000, 1_720_000_000]],
		);
		assert.deepEqual([names.length, foreign], [6, 0]);
	};
	await Promise.all([
		write('America/St_Johns', [], standardForms),
		write('Europe/Berlin', ['--time-separator', '_'], { ...standardForms, timeSeparator: '_' }),
	]);
});

describe('sets', () => {
	const full: SetName = { kind: 'full', start: null, time: step(0) };
	const inc = (from: number, to: number): SetName => ({ kind: 'inc', start: step(from), time: step(to) });

	test('one set may mix protections and forms of names', () => {
		const { newest, duplicates, foreign } = collected([
			'duplicity-full.20231114T221320Z.vol1.difftar.gz',
			'duplicity-full.20231114T221320Z.vol2.difftar.gpg',
			'duplicity-full.2023-11-14T23:13:20+01:00.vol3.difftar',
			'df.s44we8.4.dt.g',
			'dfs.s44we8.st.z',
			'duplicity-full.20231114T221320Z.manifest',
		]);
		const set = newest?.sets[0];
		assert.deepEqual(
			set?.volumes.map((v) => [v.number, v.encrypted, v.compressed]),
			[
				[1, false, true],
				[2, true, false],
				[3, false, false],
				[4, true, false],
			],
		);
		assert.deepEqual([set?.sigtar?.name, duplicates, foreign], ['dfs.s44we8.st.z', [], 0]);
	});

	test('of two names for one object the same one is used, whatever the order of the listing', () => {
		const names = ['df.s44we8.m', 'duplicity-full.20231114T221320Z.manifest'];
		for (const order of [names, names.toReversed()]) {
			const { newest, duplicates } = collected(order);
			assert.equal(newest?.sets[0]?.manifest?.name, names[1]);
			assert.deepEqual(duplicates, ['df.s44we8.m']);
		}
	});

	test('objects that gpgsm encrypted are named, neither used nor called foreign', () => {
		const cms = whole(inc(0, 1)).map((name) => name.replace(/gpg$/, 'p7m'));
		const { chains, incomplete, orphaned, unsupported, foreign } = collected([...whole(full), ...cms]);
		assert.deepEqual(steps(chains[0]?.sets ?? []), [0]);
		assert.deepEqual([unsupported, incomplete, orphaned, foreign], [cms.sort(), [], [], 0]);
	});

	test('every orphan has the reason why', () => {
		const reasons = (names: readonly string[]) =>
			collected(names).orphaned.map(({ time, reason }) => [(time - step(0)) / 86_400, reason]);
		const purged = listing('chains-08').filter((name) => !/full.*\.20231114T/.test(name));
		assert.deepEqual(reasons(purged), [
			[1, 'the set of 20231114T221320Z, which it builds on, is not on the target'],
			[2, 'the set of 20231115T221320Z, which it builds on, is orphaned, too'],
		]);
		assert.deepEqual(steps(collected(purged).newest?.sets ?? []), [3, 4, 5]);
		assert.ok(
			collected(purged).orphaned.every((set) => set.manifest && set.sigtar && set.volumes.length === 1),
		);
		const lost = listing('plain-08').filter((name) => !name.includes('to.20231116T221320Z.manifest'));
		assert.deepEqual(reasons(lost), [
			[3, 'the set of 20231116T221320Z, which it builds on, has no manifest'],
			[4, 'the set of 20231117T221320Z, which it builds on, is orphaned, too'],
			[5, 'the set of 20231118T221320Z, which it builds on, is orphaned, too'],
		]);
		assert.deepEqual(
			reasons([full, inc(0, 1), inc(0, 2), inc(2, 3), inc(0, 4), inc(7, 5)].flatMap((s) => whole(s))),
			[
				[1, 'the increment of 20231116T221320Z replaced it, as after an interrupted run'],
				[4, 'another increment follows the set of 20231114T221320Z'],
				[5, 'it claims to build on a set that is not older'],
			],
		);
	});

	test('a set that lost only its manifest can take its place again', () => {
		const mended = (names: readonly string[]) => {
			const { chains, orphaned } = mend(collected(names));
			return [chains.map(({ sets }) => steps(sets)), steps(orphaned)];
		};
		assert.deepEqual(mended(listing('dmg-nomanifest')), [[[0, 1, 2, 3, 4, 5]], []]);
		for (const time of ['full.20231114T', 'to.20231116T']) {
			const lost = listing('plain-08').filter((name) => !(name.includes(time) && name.endsWith('manifest')));
			assert.equal(lost.length, 17);
			assert.deepEqual(mended(lost), [[[0, 1, 2, 3, 4, 5]], []]);
		}
		assert.deepEqual(mended(listing('plain-08')), [[[0, 1, 2, 3, 4, 5]], []]);
	});

	test('what an interrupted run left never takes a place in a chain', () => {
		const left = (set: SetName, omit: RegExp) => whole(set, 3).filter((name) => !omit.test(name));
		const mended = (...names: string[][]) =>
			mend(collected(names.flat())).chains.map(({ sets }) => steps(sets));
		const interrupted = listing('interrupted-08', 'interrupted-08/target');
		assert.deepEqual(mended(interrupted), []);
		assert.deepEqual(mended(whole(full), left(inc(0, 1), /manifest|sigtar/)), [[0]]);
		assert.deepEqual(mended(whole(full), left(inc(0, 1), /manifest|vol2/)), [[0]]);
		assert.deepEqual(mended(whole(full), left(inc(0, 1), /manifest|difftar/)), [[0]]);
		const noManifest = left(inc(0, 1), /manifest/);
		assert.deepEqual(mended(whole(full), noManifest), [[0, 1]]);
		assert.deepEqual(mended(whole(full), noManifest, whole(inc(0, 2))), [[0, 2]]);
		assert.deepEqual(mended(whole(full), whole(inc(0, 1)), left(inc(0, 2), /manifest/)), [[0, 1]]);
	});
});

describe('a profile whose DUPL_PARAMS ask for other names', () => {
	const options = (text: string) => `TARGET='file://${join(box.dir, 'target')}'
SOURCE='${box.dir}'
GPG_KEY=disabled
DUPL_PARAMS="${text}"
`;

	test('cannot be backed up to, and the message names the option', async () => {
		const cases = [
			['--file-prefix-manifest', '--file-prefix-manifest=m-'],
			['--short-filenames', '--short-filenames', '--dry-run'],
		] as const;
		for (const [option, words, ...more] of cases) {
			profile(box, 'named', options(words));
			const { code, stderr } = await tsdup(['backup', 'named', ...more], box);
			assert.equal(code, 2, stderr);
			assert.ok(
				stderr.includes(`${option} in DUPL_PARAMS asks for object names that tsdup reads but`),
				stderr,
			);
		}
		assert.deepEqual(readdirSync(join(box.dir, 'target')), []);
	});

	test('has a cache of its own for each prefix at one target', async () => {
		const saved = process.env.XDG_CACHE_HOME;
		process.env.XDG_CACHE_HOME = box.env.XDG_CACHE_HOME;
		try {
			const open = (text: string) => openProfile(profile(box, 'named', options(text)));
			const texts = [
				'',
				'--file-prefix a',
				'--file-prefix-archive a',
				"--file-prefix ''",
				'--short-filenames',
			];
			const accesses = [];
			for (const text of texts) accesses.push(await open(text));
			const [plain, prefixed, archive, empty, short] = accesses.map(({ cacheDir }) => cacheDir);
			assert.equal(new Set([plain, prefixed, archive]).size, 3);
			assert.deepEqual([empty, short], [plain, plain]);
			assert.equal(accesses[1]?.nameForms.prefix, 'a');
			await assert.rejects(open('--file-prefix a/'), /slash .* works on S3 only/);
		} finally {
			if (saved === undefined) delete process.env.XDG_CACHE_HOME;
			else process.env.XDG_CACHE_HOME = saved;
		}
	});
});

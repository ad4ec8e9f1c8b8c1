/** docs/from-duply.md, its table of variables: all that duply has, and what they do when duply and tsdup use one conf in turns. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { duply, profile, sandbox, tsdup } from './cli.js';
import { gpgSays, importKeys, PASSPHRASE } from './fixtures.js';
import { bytesFrom } from './seeded.js';

const KEY = 'BE0139F7AD67C590';
const DOCUMENT = fileURLToPath(new URL('../../docs/from-duply.md', import.meta.url));

const box = sandbox();
const at = (name: string) => join(box.dir, name);
let dir: string;

before(() => {
	importKeys(box);
	box.env.HOME = at('home');
	for (const name of ['source/kept', 'source/left', 'target', 'temp', 'arch'])
		mkdirSync(at(name), { recursive: true });
	writeFileSync(at('source/kept/file'), bytesFrom('kept', 2_500_000));
	writeFileSync(at('source/left/nobackup'), '');
	writeFileSync(at('gnupg/gpg.conf'), 'trust-model always\n');
	writeFileSync(at('gpg'), `#!/bin/sh\necho "$*" >>'${at('calls')}'\nexec gpg "$@"\n`);
	chmodSync(at('gpg'), 0o755);
	// As in duply's template, all of them set.
	const conf = `GPG_KEY='${KEY}'
GPG_KEYS_ENC='${KEY}'
GPG_KEY_SIGN='${KEY}'
GPG_PW='${PASSPHRASE}'
GPG_PW_SIGN='${PASSPHRASE}'
GPG='${at('gpg')}'
GPG_OPTS='--pinentry-mode loopback'
GPG_TEST='disabled'
GPG_IMPORT='disabled'
GPG_EXPORT='disabled'
TARGET='file://${at('target')}'
SOURCE='${at('source')}'
DUPL_PRECMD='nice -n1'
PYTHON='/usr/bin/python3'
FILENAME='nobackup'
DUPL_PARAMS="$DUPL_PARAMS --exclude-if-present '$FILENAME'"
MAX_AGE=1M
MAX_FULL_BACKUPS=1
MAX_FULLS_WITH_INCRS=1
MAX_FULLBKP_AGE=1M
DUPL_PARAMS="$DUPL_PARAMS --full-if-older-than $MAX_FULLBKP_AGE"
VOLSIZE=1
DUPL_PARAMS="$DUPL_PARAMS --volsize $VOLSIZE"
VERBOSITY=5
TEMP_DIR='${at('temp')}'
ARCH_DIR='${at('arch')}'
`;
	dir = profile(box, 'all', conf);
	writeFileSync(join(dir, 'exclude'), '');
});
after(() => box.remove());

/** Sets, and volumes of the newest. */
function stored(): { sets: number; volumes: number } {
	const names = readdirSync(at('target'));
	const manifests = names.filter((name) => name.includes('.manifest'));
	const time = (name: string) => /(\d{8}T\d{6}Z)\.manifest/.exec(name)?.[1] ?? '';
	const newest = manifests.map(time).sort().at(-1) as string;
	return {
		sets: manifests.length,
		volumes: names.filter((name) => name.includes(`${newest}.vol`)).length,
	};
}

function change(): void {
	writeFileSync(at('source/kept/file'), bytesFrom(`${stored().sets}`, 2_500_000));
}

function calls(): string[] {
	return existsSync(at('calls')) ? readFileSync(at('calls'), 'utf8').split('\n') : [];
}

test('the table has each variable of the conf that duply writes', () => {
	const home = at('new');
	mkdirSync(home);
	execFileSync('duply', ['x', 'create'], { env: { ...box.env, HOME: home }, stdio: 'pipe' });
	const template = readFileSync(join(home, '.duply/x/conf'), 'utf8');
	const names = new Set(Array.from(template.matchAll(/^#?([A-Z_]+)=/gm), ([, name]) => name as string));
	assert.ok(names.size > 20);
	const table = readFileSync(DOCUMENT, 'utf8').split('## Variables')[1] ?? '';
	for (const name of names) assert.ok(table.includes(`\`${name}\``), name);
});

for (const [by, backup] of [
	['tsdup', () => tsdup(['-v', 'backup', dir], box)],
	['duply', () => duply([dir, 'backup'], box)],
	['tsdup again', () => tsdup(['-v', 'backup', dir], box)],
	['duply again', () => duply([dir, 'backup'], box)],
] as const) {
	test(`a backup by ${by} is encrypted, signed and in volumes as the conf says, with its gpg`, async () => {
		const before = { ...stored(), calls: calls().length };
		const { code, stdout, stderr } = await backup();
		assert.equal(code, 0, stdout + stderr);
		const now = stored();
		assert.equal(now.sets, before.sets + 1);
		assert.ok(now.volumes > 1);
		assert.ok(calls().length > before.calls);
		assert.ok(calls().some((call) => call.includes('--pinentry-mode loopback')));
		for (const name of readdirSync(at('target'))) {
			const said = gpgSays(box, join(at('target'), name), PASSPHRASE);
			assert.match(said, new RegExp(`GOODSIG ${KEY}`), name);
			assert.match(said, /ENC_TO /, name);
		}
		if (by.startsWith('tsdup')) {
			for (const name of ['GPG_TEST', 'TEMP_DIR', 'PYTHON', 'DUPL_PRECMD'])
				assert.match(stderr, new RegExp(name));
			assert.ok(existsSync(at('arch/tsdup')));
		}
		assert.deepEqual(readdirSync(at('temp')), []);
		assert.deepEqual(
			readdirSync(dir).filter((name) => name.startsWith('gpgkey')),
			[],
		);
		change();
	});
}

test('both list the same, without what FILENAME marks, and purge by the same rules', async () => {
	const theirs = (await duply([dir, 'list'], box)).stdout;
	const { stdout } = await tsdup(['list', dir], box);
	for (const list of [theirs, stdout]) {
		assert.match(list, /kept\/file$/m);
		assert.doesNotMatch(list, /left/);
	}
	for (const command of ['purge', 'purgeFull', 'purgeIncr', 'purgeAuto']) {
		const ours = await tsdup(['run', dir, command], box);
		const stock = await duply([dir, command], box);
		assert.deepEqual([ours.code, stock.code], [0, 0], `${command}\n${ours.stderr}\n${stock.stdout}`);
		assert.match(ours.stdout, /There is nothing to delete/, command);
		assert.match(stock.stdout, /No (extraneous files|old backup sets|old backup)/i, command);
	}
});

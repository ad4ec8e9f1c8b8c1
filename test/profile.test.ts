/** Profiles: finding them, reading a conf with bash, what it means, and making a new one. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { UsageError } from '../src/errors.js';
import { type Conf, readConf } from '../src/profile/conf.js';
import { findProfile, listProfiles, newProfileDir } from '../src/profile/find.js';
import { standardForms } from '../src/profile/name-forms.js';
import { type DuplicityParameters, parseParameters } from '../src/profile/params.js';
import { protectionOf } from '../src/profile/protection.js';
import { parseFilelist, readRules } from '../src/profile/rules.js';
import { createProfile } from '../src/profile/template.js';

let home: string;
const saved = { ...process.env };

beforeEach(() => {
	home = mkdtempSync(join(tmpdir(), 'tsdup-profile-'));
	process.env.HOME = home;
	delete process.env.TSDUP_PROFILES;
	assert.equal(homedir(), home);
});
afterEach(() => {
	rmSync(home, { recursive: true, force: true });
	for (const name of Object.keys(process.env)) delete process.env[name];
	Object.assign(process.env, saved);
});

function profile(text: string | Buffer, name = 'p', place = '.tsdup'): string {
	const dir = join(home, place, name);
	mkdirSync(dir, { recursive: true, mode: 0o700 });
	writeFileSync(join(dir, 'conf'), text, { mode: 0o600 });
	return dir;
}

const minimal = 'TARGET=file:///t\nSOURCE=/s\nGPG_PW=secret\n';

async function refused(action: Promise<unknown> | (() => unknown), ...parts: RegExp[]): Promise<string> {
	let message = '';
	const check = (error: unknown) => {
		assert.ok(error instanceof UsageError, String(error));
		message = error.message;
		for (const part of parts) assert.match(message, part);
		return true;
	};
	await assert.rejects(typeof action === 'function' ? (async () => action())() : action, check);
	return message;
}

function parameters(...words: string[]): DuplicityParameters {
	return parseParameters(words.map((word) => Buffer.from(word)));
}

describe('finding a profile', () => {
	test("tsdup's folders come before duply's, and $TSDUP_PROFILES before all", () => {
		const duply = profile(minimal, 'p', '.duply');
		assert.equal(findProfile('p'), duply);
		const own = profile(minimal, 'p', '.tsdup');
		assert.equal(findProfile('p'), own);
		process.env.TSDUP_PROFILES = join(home, 'mine');
		assert.equal(findProfile('p'), own);
		const mine = profile(minimal, 'p', 'mine');
		assert.equal(findProfile('p'), mine);
	});

	test('a path with a slash is taken as it is', async () => {
		const dir = profile(minimal, 'elsewhere', 'x');
		assert.equal(findProfile(`${dir}/`), dir);
		await refused(() => findProfile(`${dir}/none`), /tsdup create/);
	});

	test('an unknown name says where it was looked for', async () => {
		await refused(() => findProfile('nope'), /nope/, /\.tsdup, \/etc\/tsdup, .*\.duply, \/etc\/duply/);
		await refused(() => findProfile('..'), /not a profile name/);
	});

	test('every profile with a conf is listed once', () => {
		profile(minimal, 'b', '.duply');
		profile(minimal, 'a', '.duply');
		const b = profile(minimal, 'b', '.tsdup');
		mkdirSync(join(home, '.tsdup/no-conf'));
		const listed = listProfiles().filter(({ dir }) => dir.startsWith(home));
		assert.deepEqual(listed, [
			{ name: 'b', dir: b },
			{ name: 'a', dir: join(home, '.duply/a') },
		]);
	});
});

describe('reading a conf', () => {
	test('it is shell code: quotes, variables, commands, functions, conditions, export', async () => {
		const dir = profile(`
			echo "noise on stdout"
			base='a b'; host() { printf 'h%s' "$1"; }
			TARGET="s3://$(host 1)/bucket/\${base// /-}"   # a comment
			SOURCE="/srv/$base"
			[ -n "$NOTHING" ] && GPG_PW=wrong || GPG_PW='it'"'"'s $ecret
second line'
			export AWS_ACCESS_KEY_ID=AK AWS_SECRET_ACCESS_KEY='s k'
			FILENAME='.no backup'
			DUPL_PARAMS="$DUPL_PARAMS --exclude-if-present '$FILENAME'"
			DUPL_PARAMS="$DUPL_PARAMS --volsize $(echo 25)"
			GPG_OPTS="--homedir $CONFDIR/gnupg"
			MAX_AGE=
			false
		`);
		const conf = await readConf(dir);
		assert.equal(conf.target, 's3://h1/bucket/a-b');
		assert.equal(conf.source?.toString(), '/srv/a b');
		assert.equal(conf.values.GPG_PW, "it's $ecret\nsecond line");
		assert.equal(conf.values.GPG_OPTS, `--homedir ${dir}/gnupg`);
		assert.deepEqual([conf.values.MAX_AGE, conf.values.GPG_KEY], ['', undefined]);
		assert.deepEqual(conf.environment, { AWS_ACCESS_KEY_ID: 'AK', AWS_SECRET_ACCESS_KEY: 's k' });
		assert.deepEqual(conf.parameters.map(String), ['--exclude-if-present', '.no backup', '--volsize', '25']);
		assert.deepEqual([conf.name, conf.dir, conf.warnings], ['p', dir, []]);
	});

	test('a variable may come from the environment, and the conf wins', async () => {
		Object.assign(process.env, { GPG_KEY: 'FROMENV', TARGET: 'file:///env', AWS_PROFILE: 'inherited' });
		const conf = await readConf(profile('TARGET=file:///conf\n'));
		assert.deepEqual([conf.target, conf.values.GPG_KEY, conf.source], ['file:///conf', 'FROMENV', null]);
		assert.deepEqual(conf.environment, {});
	});

	test('a source that is not UTF-8 keeps its bytes; a passphrase that is not is refused', async () => {
		const latin1 = (text: string) => Buffer.from(text, 'latin1');
		const conf = await readConf(profile(latin1("TARGET=file:///t SOURCE='/s/\xe4'\n")));
		assert.deepEqual(conf.source, latin1('/s/\xe4'));
		await refused(readConf(profile(latin1(`${minimal}GPG_PW='\xe4'\n`))), /GPG_PW .* not UTF-8/);
	});

	test('a conf that cannot be used says why, and keeps its secrets', async () => {
		await refused(readConf(join(home, 'none')), /none\/conf cannot be read/);
		await refused(readConf(profile('SOURCE=/s\n')), /TARGET is not set/);
		await refused(readConf(profile(`${minimal}echo oh dear >&2; exit 3\n`)), /exit code 3/, /oh dear/);
		await refused(readConf(profile(`${minimal}DUPL_PARAMS="--exclude 'x"\n`)), /DUPL_PARAMS .* quotes/);
		const message = await refused(
			readConf(profile(`${minimal}GPG_PW=open(sesame)\n`)),
			/syntax error near line 4/,
		);
		assert.doesNotMatch(message, /sesame/);
	});

	test('what went wrong inside is a warning without the words of a passphrase', async () => {
		const conf = await readConf(profile(`${minimal}GPG_PW=open sesame\nx=$(cat /nonexistent)\n`));
		assert.equal(conf.warnings.length, 1);
		assert.match(conf.warnings[0] as string, /line 4: command not found/);
		assert.match(conf.warnings[0] as string, /\/nonexistent/);
		assert.doesNotMatch(conf.warnings[0] as string, /sesame/);
	});

	test('strict shell options, redefined words and a daemon in the conf do no harm', {
		timeout: 20_000,
	}, async () => {
		const conf = await readConf(
			profile(
				`${minimal}set -eu; IFS=,; printf() { :; }; eval() { :; }\nsleep 60 & echo $! > '${home}/pid'\n`,
			),
		);
		process.kill(Number(readFileSync(join(home, 'pid'), 'utf8')));
		assert.deepEqual([conf.target, conf.values.GPG_PW, conf.parameters], ['file:///t', 'secret', []]);
	});

	test('a profile open to others is closed, and said so', async () => {
		const dir = profile(minimal);
		chmodSync(dir, 0o755);
		const conf = await readConf(dir);
		assert.equal(statSync(dir).mode & 0o777, 0o700);
		assert.match(conf.warnings[0] as string, /open to other users/);
	});

	test("duply's unedited profile is refused, and the message names what to edit", async () => {
		spawnSync('duply', ['fresh', 'create'], { env: { ...process.env, HOME: home } });
		const dir = findProfile('fresh');
		await refused(readConf(dir), /edit .*\/fresh\/conf: TARGET, SOURCE, GPG_KEY/);
		const text = readFileSync(join(dir, 'conf'), 'utf8');
		const edited = text
			.replace(/^GPG_KEY=.*/m, 'GPG_KEY=ABC')
			.replace(/^TARGET=.*/m, 'TARGET=file:///t')
			.replace(/^SOURCE=.*/m, 'SOURCE=/s');
		writeFileSync(join(dir, 'conf'), edited);
		// GPG_PW is still duply's placeholder, which duply itself leaves alone beside a key.
		const protection = protectionOf(await readConf(dir), parameters());
		assert.deepEqual(protection, { kind: 'keys', recipients: ['ABC'] });
	});
});

describe('protection', () => {
	const conf = (values: Conf['values']): Conf => ({
		dir: '/p',
		name: 'p',
		target: 'file:///t',
		source: null,
		values,
		parameters: [],
		environment: {},
		warnings: [],
		details: [],
	});
	const of = (values: Conf['values'], ...words: string[]) => protectionOf(conf(values), parameters(...words));

	test('keys come before the passphrase, from both lists; an escaped comma is part of a user id', () => {
		assert.deepEqual(of({ GPG_KEY: 'A,B', GPG_KEYS_ENC: 'C, Doe\\, Jo <j@x>,', GPG_PW: 'pw' }), {
			kind: 'keys',
			recipients: ['A', 'B', 'C', 'Doe, Jo <j@x>'],
			passphrase: 'pw',
		});
		assert.deepEqual(of({ GPG_PW: 'pw' }), { kind: 'passphrase', passphrase: 'pw' });
	});

	test('no encryption when it is switched off in words; with a warning when nothing is set', () => {
		assert.deepEqual(of({ GPG_KEY: 'Disabled', GPG_PW: 'pw' }), { kind: 'none', warning: null });
		assert.deepEqual(of({ GPG_KEY: 'A' }, '--no-encryption'), { kind: 'none', warning: null });
		const nothing = of({});
		assert.ok(nothing.kind === 'none' && nothing.warning?.includes('not encrypted'));
	});

	test('an empty passphrase never turns encryption off', async () => {
		await refused(() => of({ GPG_PW: '' }), /GPG_PW is empty/);
		await refused(() => of({ GPG_KEY_SIGN: 'A' }), /GPG_PW is not set/);
	});
});

describe('DUPL_PARAMS', () => {
	test('known options are honoured, with = or a blank', () => {
		const read = parameters(
			...[
				'--volsize=25',
				'--full-if-older-than',
				'1M',
				'--s3-endpoint-url',
				'http://x',
				'--s3-region-name=r',
			],
			...[
				'--s3-unencrypted-connection',
				'--s3-use-ia',
				'-v9',
				'-v',
				'4',
				'--name',
				'x',
				'--asynchronous-upload',
			],
			...['--include', 'a b', '--exclude=**', '--exclude-filelist', '/l', '--exclude-other-filesystems'],
		);
		assert.deepEqual(read, {
			volumeSize: 25 * 1024 * 1024,
			fullIfOlderThan: '1M',
			gpgOptions: '',
			encryption: true,
			endpoint: 'http://x',
			region: 'r',
			timeout: null,
			unencryptedConnection: true,
			storageClass: 'STANDARD_IA',
			nameForms: standardForms,
			nonStandardNames: null,
			selection: [
				{ kind: 'glob', sign: 'include', pattern: Buffer.from('a b') },
				{ kind: 'glob', sign: 'exclude', pattern: Buffer.from('**') },
				{ kind: 'filelist', sign: 'exclude', file: Buffer.from('/l') },
				{ kind: 'other-filesystems' },
			],
			warnings: [],
		});
	});

	test('an unknown option is named in a warning, without its value', () => {
		const { warnings, volumeSize } = parameters(
			'--par2-options',
			'secret',
			'--gpg-options=-x',
			'--new',
			'--volsize',
			'1',
		);
		assert.equal(volumeSize, 1 << 20);
		assert.equal(warnings.length, 2);
		assert.match(warnings.join(), /--par2-options.*--new/);
		assert.doesNotMatch(warnings.join(), /secret/);
	});

	test('an option that must not be ignored is an error that names it', async () => {
		for (const option of [
			...['--encrypt-key', '--hidden-encrypt-key', '--encrypt-sign-key', '--sign-key'],
			...['--exclude-new-thing', '--files-from'],
			...['--filter-globbing', '--null-separator', '--copy-links', '--dry-run'],
		]) {
			await refused(() => parameters(option, 'x'), new RegExp(`^${option} `), /not supported/);
		}
		await refused(() => parameters('--exclude-if', 'x'), /--exclude-if /);
		await refused(() => parameters('--no-enc'), /abbreviated/, /--no-encryption/);
	});

	test('options for the names of objects say what is read, and which one only duplicity writes', async () => {
		const read = parameters(
			...[
				'--file-prefix',
				'a-',
				'--file-prefix-manifest=m/',
				'--file-prefix-archive',
				'v',
				'--old-filenames',
			],
			...['--file-prefix-signature=s', '--file-prefix-jsonstat=j', '--time-separator', '_'],
		);
		assert.deepEqual(read.nameForms, {
			prefix: 'a-',
			manifestPrefix: 'm/',
			archivePrefix: 'v',
			signaturePrefix: 's',
			jsonstatPrefix: 'j',
			timeSeparator: '_',
		});
		assert.deepEqual([read.nonStandardNames, read.warnings], ['--old-filenames', []]);
		for (const option of ['', '-manifest', '-archive', '-signature', '-jsonstat'].map(
			(p) => `--file-prefix${p}`,
		))
			assert.equal(parameters(option, 'v').nonStandardNames, option);
		assert.equal(parameters('--time-separator', '_').nonStandardNames, '--time-separator');
		assert.equal(parameters('--short-filenames').nonStandardNames, '--short-filenames');
		assert.equal(parameters('--time-separator=:', '--file-prefix=').nonStandardNames, null);
		await refused(() => parameters('--time-separator', '-'), /one character, and not a dash/);
		await refused(() => parameters('--time-separator', '::'), /one character/);
		await refused(() => parameters('--file-pre', 'x'), /abbreviated/, /--file-prefix/);
	});

	test('a value that is missing or makes no sense is an error', async () => {
		await refused(() => parameters('--volsize'), /needs a value/);
		await refused(() => parameters('--volsize', '0'), /--volsize 0/);
		await refused(() => parameters('stray'), /belongs to no option/);
	});
});

describe('rules', () => {
	test('those of DUPL_PARAMS come first, file lists where they stand, then the file exclude', async () => {
		writeFileSync(join(home, 'list'), '+ in list\nplain\n');
		writeFileSync(join(home, 'exclude'), '# comment\r\n- own\r\n');
		const { selection } = parameters(
			'--exclude',
			'one',
			'--include-filelist',
			`${home}/list`,
			'--exclude',
			'two',
		);
		const rules = await readRules(selection, join(home, 'exclude'), Number);
		const text = rules.map((rule) => (rule.kind === 'glob' ? `${rule.sign} ${rule.pattern}` : rule.kind));
		assert.deepEqual(text, ['exclude one', 'include in list', 'include plain', 'exclude two', 'exclude own']);
		assert.equal((await readRules([], join(home, 'absent'), Number)).length, 0);
		await refused(
			readRules(parameters('--exclude-filelist', '/none').selection, '/x', Number),
			/\/none cannot be read/,
		);
	});

	test('a file list keeps the bytes of its patterns', () => {
		const [rule] = parseFilelist(Buffer.from("  - '/s/\xe4 b'\t\n", 'latin1'), 'include');
		assert.deepEqual(rule, { kind: 'glob', sign: 'exclude', pattern: Buffer.from('/s/\xe4 b', 'latin1') });
	});
});

describe('a new profile', () => {
	test('it is private, valid shell, refused until edited by tsdup and duply, and works then', async () => {
		const dir = newProfileDir('new');
		assert.equal(dir, join(home, '.tsdup/new'));
		await createProfile(dir);
		assert.equal(statSync(dir).mode & 0o777, 0o700);
		for (const file of ['conf', 'exclude']) assert.equal(statSync(join(dir, file)).mode & 0o777, 0o600);
		execFileSync('bash', ['-n', join(dir, 'conf')]);
		await refused(readConf(dir), /edit .*\/new\/conf: TARGET, SOURCE, GPG_PW still/);
		assert.match(duply(dir, 'status'), /still default value/);

		mkdirSync(join(home, 'source'));
		const edited = readFileSync(join(dir, 'conf'), 'utf8')
			.replace(/^TARGET=.*/m, `TARGET='file://${home}/target'`)
			.replace(/^SOURCE=.*/m, `SOURCE='${home}/source'`)
			.replace(/^GPG_PW=.*/m, "GPG_PW='secret'");
		writeFileSync(join(dir, 'conf'), edited);
		const conf = await readConf(dir);
		assert.deepEqual(conf.warnings, []);
		const read = parseParameters(conf.parameters);
		assert.deepEqual([read.fullIfOlderThan, read.volumeSize, read.warnings], ['1M', 200 << 20, []]);
		assert.deepEqual(await readRules(read.selection, join(dir, 'exclude'), Number), []);
		assert.deepEqual(protectionOf(conf, read), { kind: 'passphrase', passphrase: 'secret' });
		assert.match(duply(dir, 'backup'), /--- Finished state OK/);
		assert.match(readdir(join(home, 'target')), /duplicity-full\.\S+\.manifest\.gpg/);
	});

	test('one that exists is left alone', async () => {
		const dir = profile('mine', 'p', '.duply');
		await refused(() => newProfileDir('p'), /exists already/);
		await refused(createProfile(dir), /exists already/);
		assert.equal(readFileSync(join(dir, 'conf'), 'utf8'), 'mine');
	});

	function duply(dir: string, command: string): string {
		const { stdout, stderr } = spawnSync('duply', [dir, command], { encoding: 'utf8' });
		return stdout + stderr;
	}

	function readdir(dir: string): string {
		return execFileSync('ls', [dir], { encoding: 'utf8' });
	}
});

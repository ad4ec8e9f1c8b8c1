/** What is wrong outside of the source: keys, targets, profiles, mountpoints. Each is said in a sentence, and harms nothing. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Ended, profile, sandbox, tsdup } from './cli.js';
import { startRadosgw } from './radosgw.js';

const PASSPHRASE = 'a passphrase of the bad input test';
const KEYS = join(import.meta.dirname, '../../test/fixtures/keys');

const box = sandbox();
const source = join(box.dir, 'source');
const target = join(box.dir, 'target');
const mountpoint = join(box.dir, 'mnt');
const cold = { env: { ...box.env, XDG_CACHE_HOME: join(box.dir, 'cold-cache') } };

before(async () => {
	mkdirSync(source);
	mkdirSync(mountpoint);
	writeFileSync(join(source, 'file'), 'content');
	make('p', target, `GPG_PW='${PASSPHRASE}'`);
	assert.equal((await tsdup(['backup', 'p'], box)).code, 0);
});

after(() => box.remove());

/** A profile of the source. */
function make(name: string, to: string, ...lines: string[]): string {
	const url = to.startsWith('/') ? `file://${to}` : to;
	return profile(box, name, [`SOURCE='${source}'`, `TARGET='${url}'`, ...lines, ''].join('\n'));
}

/** Names, sizes and times of all that is on a target. */
function listing(dir = target): string {
	return execFileSync('find', [dir, '-printf', '%P %s %T@ %C@\n']).toString();
}

function isMounted(path = mountpoint): boolean {
	return readFileSync('/proc/self/mounts', 'utf8').includes(` ${path} `);
}

function fails({ code, stdout, stderr }: Ended, expected: number, ...says: RegExp[]): void {
	assert.equal(code, expected, stdout + stderr);
	for (const sentence of says) assert.match(stderr, sentence);
	assert.doesNotMatch(stderr, /^\s+at .*:\d+:\d+/m, 'no stack');
}

/** Every command that reads, and none of which may mount. */
async function allReadersFail(name: string, expected: number, env: NodeJS.ProcessEnv, ...says: RegExp[]) {
	const destination = join(box.dir, 'restored');
	for (const args of [
		['status', name],
		['list', name],
		['restore', name, destination],
		['mount', '-p', name, mountpoint],
		['mount', '-f', '-p', name, mountpoint],
	]) {
		fails(await tsdup(args, { env }), expected, ...says);
	}
	assert.ok(!isMounted() && !existsSync(destination));
}

describe('a passphrase that is not the one of the collection', () => {
	before(() => make('wrong', target, `GPG_PW='another one'`));

	for (const [what, { env }] of [
		['with an index', box],
		['without one', cold],
	] as const) {
		test(`is refused by a backup, which writes nothing (${what})`, async () => {
			const untouched = listing();
			for (const options of [[], ['--full'], ['--dry-run']]) {
				fails(await tsdup(['backup', 'wrong', ...options], { env }), 6, /passphrase/);
			}
			assert.equal(listing(), untouched);
		});

		test(`is refused by what reads (${what})`, () => allReadersFail('wrong', 6, env, /passphrase/));
	}

	test('that is missing is asked for by name', async () => {
		fails(await tsdup(['mount', '--target', `file://${target}`, mountpoint], cold), 6, /PASSPHRASE/);
	});
});

describe('a key', () => {
	const byKey = join(box.dir, 'by-key');

	test('that is missing is named by a backup, which writes nothing', async () => {
		make('nokey', byKey, `GPG_KEY='0123456789ABCDEF'`);
		fails(await tsdup(['backup', 'nokey'], box), 6, /0123456789ABCDEF/);
		assert.deepEqual(existsSync(byKey) ? readdirSync(byKey) : [], []);
	});

	test('whose secret part is missing is named by what reads', async () => {
		const dir = make('key', byKey, `GPG_KEY='CEECE5A728A78B25'`);
		cpSync(join(KEYS, 'ecc.public.asc'), join(dir, 'gpgkey.CEECE5A728A78B25.pub.asc'));
		assert.equal((await tsdup(['backup', 'key'], box)).code, 0);
		const [, subkey] = /^sub:.*?:.*?:.*?:([0-9A-F]{16})/m.exec(
			execFileSync('gpg', ['--show-keys', '--with-colons', join(KEYS, 'ecc.public.asc')], box).toString(),
		) as RegExpExecArray;
		await allReadersFail('key', 6, cold.env, new RegExp(`secret key of ${subkey}`));
	});

	test('whose passphrase is wrong is named, and the passphrase is not', async () => {
		const to = join(box.dir, 'by-rsa');
		const dir = make(
			'rsa',
			to,
			`GPG_KEY='BE0139F7AD67C590'`,
			`GPG_KEY_SIGN='disabled'`,
			`GPG_PW='not-the-passphrase'`,
		);
		cpSync(join(KEYS, 'rsa.public.asc'), join(dir, 'gpgkey.BE0139F7AD67C590.pub.asc'));
		cpSync(join(KEYS, 'rsa.secret.asc'), join(dir, 'gpgkey.BE0139F7AD67C590.sec.asc'));
		assert.equal((await tsdup(['backup', 'rsa'], box)).code, 0);
		const ended = await tsdup(['status', 'rsa'], cold);
		fails(ended, 6, /passphrase does not unlock secret key BE0139F7AD67C590/);
		assert.doesNotMatch(ended.stderr, /not-the-passphrase/);
	});
});

describe('a target', () => {
	test('whose folder is missing is named by what reads, and not made', async () => {
		make('absent', join(box.dir, 'absent'), `GPG_PW='${PASSPHRASE}'`);
		await allReadersFail('absent', 7, box.env, /absent does not exist; check TARGET/);
		assert.ok(!existsSync(join(box.dir, 'absent')));
	});

	test('that is a file, or a URL of another kind, is named', async () => {
		make('file', join(source, 'file'), `GPG_PW='${PASSPHRASE}'`);
		fails(await tsdup(['status', 'file'], box), 7, /is not a folder; check TARGET/);
		make('ftp', 'ftp://user:the-password@host/dir', `GPG_PW='${PASSPHRASE}'`);
		const ended = await tsdup(['backup', 'ftp'], box);
		fails(ended, 2, /ftp:\/\/ are not supported/);
		assert.doesNotMatch(ended.stderr, /the-password/);
	});

	test('on S3 that nobody serves, has no such bucket or another secret: told within 30 s, without secrets', async () => {
		const server = await startRadosgw();
		const { accessKeyId, secretAccessKey, endpoint } = server;
		await server.createBucket('real');
		const cases: [string, string, string, string, RegExp][] = [
			['deaf', 'http://127.0.0.1:9', 'real', secretAccessKey, /nothing listens at 127\.0\.0\.1:9/],
			['nobucket', endpoint, 'imaginary', secretAccessKey, /there is no bucket imaginary/],
			['badsecret', endpoint, 'real', 'wrong-secret-0123456789', /does not accept the secret key/],
		];
		for (const [name, at, bucket, secret, says] of cases) {
			make(
				name,
				`s3:///${bucket}`,
				`TARGET_USER='${accessKeyId}'`,
				`TARGET_PASS='${secret}'`,
				`GPG_PW='${PASSPHRASE}'`,
				`DUPL_PARAMS='--s3-endpoint-url ${at}'`,
			);
			for (const args of [
				['mount', '-p', name, mountpoint],
				['-v', 'backup', name],
			]) {
				const started = Date.now();
				const { code, stderr } = await tsdup(args, box);
				assert.equal(code, 7, stderr);
				assert.match(stderr, says);
				assert.ok(Date.now() - started < 30_000);
				for (const word of [secret, PASSPHRASE]) assert.ok(!stderr.includes(word), stderr);
			}
		}
		assert.ok(!isMounted());
		await server.stop();
	});

	test('with foreign files: they are neither used nor touched', async () => {
		mkdirSync(join(target, 'folder'));
		const names = [
			'README',
			'.hidden',
			'folder/duplicity-full.20101004T153538Z.manifest.gpg',
			'duplicity-full.20101004T153538Z.index.gz',
			'duplicity-full.20101004T153538Z.vol1.difftar.gpg.tmp',
			'tsdup-index.20101004T153538Z.segment.gpg.bak',
		];
		for (const name of names) writeFileSync(join(target, name), `foreign ${name}`);
		const ended = await tsdup(['backup', 'p'], box);
		assert.equal(ended.code, 0, ended.stderr);
		const status = await tsdup(['--json', 'status', 'p'], box);
		assert.match(status.stdout, /"chains":1,"sets":2,.*"foreign":5/);
		for (const name of names) assert.equal(readFileSync(join(target, name), 'utf8'), `foreign ${name}`);
	});
});

describe('a profile', () => {
	test('that is not there: where it was looked for', async () => {
		const { env } = box;
		for (const args of [
			['backup', 'nosuch'],
			['mount', '-p', 'nosuch', mountpoint],
		]) {
			fails(
				await tsdup(args, box),
				2,
				/"nosuch"/,
				new RegExp(`${env.TSDUP_PROFILES}, ${env.HOME}/\\.tsdup, /etc/tsdup`),
			);
		}
		fails(await tsdup(['status', './nosuch'], box), 2, /nosuch is not a profile folder/);
	});

	test('without a conf, with one that is no shell code, or one that was not edited', async () => {
		mkdirSync(join(box.env.TSDUP_PROFILES as string, 'empty'));
		fails(await tsdup(['backup', 'empty'], box), 2, /conf cannot be read/);
		profile(box, 'broken', `TARGET='unclosed\n`);
		fails(await tsdup(['backup', 'broken'], box), 2, /conf/);
		assert.equal((await tsdup(['create', 'fresh'], box)).code, 0);
		fails(await tsdup(['backup', 'fresh'], box), 2, /edit .*fresh\/conf/);
		fails(await tsdup(['create', 'fresh'], box), 2, /exists already/);
	});

	test('that must be chosen: the choices are listed', async () => {
		fails(await tsdup(['mount', mountpoint], box), 2, /Which profile\?.*\bp\b/);
	});
});

describe('a mountpoint', () => {
	test('that is absent, a file or not empty', async () => {
		fails(
			await tsdup(['mount', '-p', 'p', join(box.dir, 'nowhere')], box),
			2,
			/does not exist; make it first/,
		);
		assert.ok(!existsSync(join(box.dir, 'nowhere')));
		fails(await tsdup(['mount', '-p', 'p', join(source, 'file')], box), 2, /is not a directory/);
		fails(await tsdup(['mount', '-p', 'p', source], box), 2, /is not empty/);
	});

	test('that has a mount already keeps it', async () => {
		assert.equal((await tsdup(['mount', '-p', 'p', mountpoint], box)).code, 0);
		fails(await tsdup(['mount', '-p', 'p', mountpoint], box), 2, /is mounted here already/);
		assert.equal(readFileSync(join(mountpoint, 'latest/file'), 'utf8'), 'content');
		assert.equal((await tsdup(['umount', mountpoint], box)).code, 0);
		assert.ok(statSync(mountpoint).isDirectory() && !isMounted());
		fails(await tsdup(['umount', mountpoint], box), 2, /is no tsdup mount/);
	});

	test('with options that are not known, or that ask for writing', async () => {
		fails(
			await tsdup(['mount', '-p', 'p', '-o', 'frobnicate', mountpoint], box),
			2,
			/unknown mount option frobnicate/,
		);
		fails(await tsdup(['mount', '-p', 'p', '-o', 'rw', mountpoint], box), 2, /read-only/);
	});
});

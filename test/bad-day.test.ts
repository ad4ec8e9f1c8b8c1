/**
 * docs/bad-day.md and docs/s3.md, done: everything comes back on a bare machine that has only the conf, the keys and the
 * bucket; and the bucket is set up as they say, on a real S3 server.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
	CreateBucketCommand,
	DeleteObjectCommand,
	GetBucketLifecycleConfigurationCommand,
	ListObjectsV2Command,
	ListObjectVersionsCommand,
	PutBucketLifecycleConfigurationCommand,
	PutBucketPolicyCommand,
	PutBucketVersioningCommand,
	PutObjectCommand,
	PutObjectLockConfigurationCommand,
	type S3Client,
} from '@aws-sdk/client-s3';
import { connect } from '../src/target/s3-client.js';
import { profile, putOnPath, type Sandbox, sandbox, tsdup } from './cli.js';
import { importKeys } from './fixtures.js';
import { type Radosgw, startRadosgw } from './radosgw.js';
import { assertSameTree, describeTree } from './tree.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** A key of test/fixtures/keys and its passphrase. */
const KEY = 'BE0139F7AD67C590';
const KEY_PASSPHRASE = 'fixture-passphrase';
const PASSPHRASE = 'correct horse battery staple';

let server: Radosgw;
before(async () => {
	server = await startRadosgw();
});

/** The block of code after `<!-- test: NAME -->`. */
function block(file: string, name: string): string {
	const [, code] = readFileSync(join(ROOT, 'docs', file), 'utf8').split(`<!-- test: ${name} -->\n`);
	const found = /^```\w+\n(.*?)^```$/ms.exec(code ?? '')?.[1];
	assert.ok(found, `${file} has no block ${name}`);
	return found;
}

/** A bare machine: its own home, keyring and cache, and tsdup in its path. */
function machine(): Sandbox {
	const box = sandbox();
	putOnPath(box);
	delete box.env.TSDUP_PROFILES;
	delete box.env.XDG_CACHE_HOME;
	return box;
}

function shell(script: string, { env }: Sandbox, extra: NodeJS.ProcessEnv = {}): string {
	const { status, stdout, stderr } = spawnSync('bash', ['-ec', script], {
		cwd: env.HOME,
		env: { ...env, ...extra },
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	assert.equal(status, 0, `${script}\n${stdout}\n${stderr}`);
	return `${stdout}${stderr}`;
}

function makeSource(box: Sandbox): string {
	const source = join(box.dir, 'source');
	mkdirSync(source);
	execFileSync(
		'bash',
		[
			'-euc',
			`mkdir letters; echo 'Dear Ada' >letters/ada.txt; head -c 9000000 /dev/urandom >film; ln -s film link; chmod 640 film`,
		],
		{ cwd: source },
	);
	return source;
}

function assertCameBack(source: string, restored: string, symlinkTimes = true): void {
	const [found, original] = [restored, source].map((root) => describeTree(Buffer.from(root)));
	assertSameTree(found ?? [], original ?? [], restored, { symlinkTimes });
}

describe('a bad day', () => {
	const old = machine();
	const fresh = machine();
	const stick = join(old.dir, 'stick');
	let source: string;

	after(() => {
		old.remove();
		fresh.remove();
	});

	function follow(name: string, box: Sandbox): string {
		return shell(block('bad-day.md', name).replaceAll('/media/stick', stick), box);
	}

	/** The old machine: a key in its keyring, two backups to a bucket. What it leaves is the stick and the bucket. */
	before(async () => {
		await server.createBucket('bad-day');
		source = makeSource(old);
		importKeys(old);
		const profiles = join(old.env.HOME as string, '.tsdup');
		const conf = `SOURCE='${source}'\nTARGET='boto3+s3://bad-day/home'\nGPG_KEY='${KEY}'\nGPG_PW='${KEY_PASSPHRASE}'
export AWS_ACCESS_KEY_ID='${server.accessKeyId}' AWS_SECRET_ACCESS_KEY='${server.secretAccessKey}'
DUPL_PARAMS="$DUPL_PARAMS --s3-endpoint-url ${server.endpoint}"\n`;
		const dir = profile({ ...old, env: { ...old.env, TSDUP_PROFILES: profiles } }, 'home', conf);
		shell('tsdup backup home', old);
		await sleep(1100);
		writeFileSync(join(source, 'letters/ada.txt'), 'Dear Ada, once more\n');
		shell('tsdup backup home', old);
		mkdirSync(stick);
		for (const name of readdirSync(dir).filter((each) => /^conf$|^gpgkey\./.test(each)))
			cpSync(join(dir, name), join(stick, name));
		assert.ok(
			readdirSync(stick).some((name) => name.endsWith('.sec.asc')),
			'the backup exported its key',
		);
	});

	test('a new machine with the conf, the exported key and the bucket has everything back', () => {
		follow('new-machine', fresh);
		assertCameBack(source, join(fresh.env.HOME as string, 'restored'));
		follow('look', fresh);
		assert.equal(readFileSync(join(fresh.env.HOME as string, 'ada.txt'), 'utf8'), 'Dear Ada, once more\n');
		assert.equal(
			spawnSync('gpg', ['--list-secret-keys', '--with-colons'], { env: fresh.env }).stdout.toString(),
			'',
		);
	});

	test('so has one without tsdup', () => {
		const box = sandbox();
		try {
			follow('by-duplicity', box);
			assertCameBack(source, join(box.env.HOME as string, 'restored'), false);
		} finally {
			box.remove();
		}
	});

	test('a lost cache costs nothing', () => {
		assert.match(follow('lost-cache', fresh), /1 chain, 2 sets/);
	});

	test('a damaged object costs what lies in it; the next full backup needs none of it', async () => {
		const box = machine();
		try {
			const target = join(box.dir, 'target');
			const profiles = join(box.env.HOME as string, '.tsdup');
			const there = makeSource(box);
			profile(
				{ ...box, env: { ...box.env, TSDUP_PROFILES: profiles } },
				'home',
				`SOURCE='${there}'\nTARGET='file://${target}'\nGPG_PW='${PASSPHRASE}'\n`,
			);
			shell('tsdup backup home', box);
			const volume = join(target, readdirSync(target).find((name) => name.includes('.vol1.')) as string);
			const bytes = readFileSync(volume);
			bytes[5_000_000] = (bytes[5_000_000] as number) ^ 1;
			writeFileSync(volume, bytes);
			await sleep(1100);
			assert.match(follow('damaged', box), /^ended with 4$/m);
			const home = box.env.HOME as string;
			assert.deepEqual(readFileSync(join(home, 'what-is-left/letters/ada.txt'), 'utf8'), 'Dear Ada\n');
			assert.ok(!existsSync(join(home, 'what-is-left/film')));
			assertCameBack(there, join(home, 'all'));
		} finally {
			box.remove();
		}
	});
});

describe('a bucket that is set up as docs/s3.md says', () => {
	const box = machine();
	after(() => box.remove());
	let owner: S3Client;
	let source: string;
	let keys: { accessKeyId: string; secretAccessKey: string };

	const asUser = () =>
		connect({ kind: 's3', bucket: 'my-bucket', prefix: '', endpoint: server.endpoint, credentials: keys });
	const json = (name: string) => JSON.parse(block('s3.md', name));

	function writeProfile(
		name: string,
		bucket: string,
		user: { accessKeyId: string; secretAccessKey: string },
	): void {
		const env = { ...box.env, TSDUP_PROFILES: join(box.env.HOME as string, '.tsdup') };
		profile(
			{ ...box, env },
			name,
			`SOURCE='${source}'\nTARGET='s3:///${bucket}/backups/home'\nGPG_PW='${PASSPHRASE}'
export AWS_ACCESS_KEY_ID='${user.accessKeyId}' AWS_SECRET_ACCESS_KEY='${user.secretAccessKey}'
DUPL_PARAMS="$DUPL_PARAMS --s3-endpoint-url ${server.endpoint}"\n`,
		);
	}

	before(async () => {
		source = makeSource(box);
		const location = await server.createBucket('my-bucket');
		owner = connect(location);
		keys = await server.createUser('backup');
		const Policy = block('s3.md', 'policy').replaceAll(
			'arn:aws:iam::123456789012:user',
			'arn:aws:iam:::user',
		);
		await owner.send(new PutBucketPolicyCommand({ Bucket: 'my-bucket', Policy }));
		await owner.send(
			new PutBucketVersioningCommand({ Bucket: 'my-bucket', VersioningConfiguration: { Status: 'Enabled' } }),
		);
		writeProfile('home', 'my-bucket', keys);
	});

	test('gives the user all that backup, restore and doctor need', async () => {
		assert.match(shell('tsdup backup home', box), /^Full backup/m);
		await sleep(1100);
		writeFileSync(join(source, 'letters/ada.txt'), 'Dear Ada, once more\n');
		assert.match(shell('tsdup backup home', box), /^Incremental backup/m);
		shell('tsdup restore home ~/restored', box);
		assertCameBack(source, join(box.env.HOME as string, 'restored'));
		const { stdout } = await tsdup(['doctor', 'home'], box);
		assert.match(stdout, /^ok .* write: A small object was put, read and deleted$/m);
		assert.doesNotMatch(stdout, /^FAILED/m);
	});

	test('and no more: not what lies beside, nor the removal of versions', async () => {
		await owner.send(new PutObjectCommand({ Bucket: 'my-bucket', Key: 'other/secret', Body: 'x' }));
		const user = asUser();
		const refused = { name: 'AccessDenied' };
		await assert.rejects(user.send(new ListObjectsV2Command({ Bucket: 'my-bucket' })), refused);
		await assert.rejects(
			user.send(new ListObjectsV2Command({ Bucket: 'my-bucket', Prefix: 'other/' })),
			refused,
		);
		await assert.rejects(
			user.send(new PutObjectCommand({ Bucket: 'my-bucket', Key: 'other/x', Body: 'x' })),
			refused,
		);
		const { Versions = [] } = await owner.send(
			new ListObjectVersionsCommand({ Bucket: 'my-bucket', Prefix: 'backups/' }),
		);
		const { Key, VersionId } = Versions[0] ?? {};
		await assert.rejects(
			user.send(new DeleteObjectCommand({ Bucket: 'my-bucket', Key, VersionId })),
			refused,
		);
	});

	test('is rolled back to before an attack with the stolen key', async () => {
		await sleep(1100);
		const since = new Date().toISOString().replace('Z', '+00:00');
		await sleep(1100);
		const user = asUser();
		const { Contents = [] } = await user.send(
			new ListObjectsV2Command({ Bucket: 'my-bucket', Prefix: 'backups/home/' }),
		);
		for (const [i, { Key }] of Contents.entries()) {
			if (i % 2 === 0) await user.send(new PutObjectCommand({ Bucket: 'my-bucket', Key, Body: 'pay me' }));
			else await user.send(new DeleteObjectCommand({ Bucket: 'my-bucket', Key }));
		}
		// What the cache still has would come back all the same.
		rmSync(join(box.env.HOME as string, '.cache'), { recursive: true });
		assert.notEqual((await tsdup(['restore', 'home', join(box.dir, 'attacked')], box)).code, 0);
		const script = block('s3.md', 'roll-back')
			.replace("client('s3')", `client('s3', endpoint_url='${server.endpoint}', region_name='us-east-1')`)
			.replace('2026-11-24T02:00:00+00:00', since);
		const ownerKeys = {
			AWS_ACCESS_KEY_ID: server.accessKeyId,
			AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
		};
		execFileSync('/usr/bin/python3', ['-c', script], { env: { ...box.env, ...ownerKeys } });
		rmSync(join(box.env.HOME as string, '.cache'), { recursive: true });
		shell('tsdup restore home ~/rolled-back', box);
		assertCameBack(source, join(box.env.HOME as string, 'rolled-back'));
	});

	test('takes the lifecycle rules', async () => {
		const LifecycleConfiguration = json('lifecycle');
		await owner.send(
			new PutBucketLifecycleConfigurationCommand({ Bucket: 'my-bucket', LifecycleConfiguration }),
		);
		const { Rules = [] } = await owner.send(
			new GetBucketLifecycleConfigurationCommand({ Bucket: 'my-bucket' }),
		);
		const byId = (id: string) => Rules.find(({ ID }) => ID === id);
		assert.equal(byId('unfinished uploads')?.AbortIncompleteMultipartUpload?.DaysAfterInitiation, 7);
		assert.equal(byId('deleted long ago')?.NoncurrentVersionExpiration?.NoncurrentDays, 30);
	});

	test('with object lock keeps every version, and backups work', async () => {
		const Bucket = 'locked';
		await owner.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: true }));
		await owner.send(
			new PutObjectLockConfigurationCommand({ Bucket, ObjectLockConfiguration: json('object-lock') }),
		);
		writeProfile('locked', Bucket, server);
		shell('tsdup backup locked', box);
		const { Versions = [] } = await owner.send(new ListObjectVersionsCommand({ Bucket }));
		assert.ok(Versions.length >= 4);
		for (const { Key, VersionId } of Versions)
			await assert.rejects(owner.send(new DeleteObjectCommand({ Bucket, Key, VersionId })), {
				name: 'AccessDenied',
			});
		shell('tsdup restore locked ~/from-locked', box);
		assertCameBack(source, join(box.env.HOME as string, 'from-locked'));
		const { stdout } = await tsdup(['doctor', 'locked'], box);
		assert.match(stdout, /^ok .* write: A small object was put, read and deleted$/m);
	});
});

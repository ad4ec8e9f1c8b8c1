/**
 * Old backups are deleted by duply's rules and words: what stays is whole, in tsdup's view and in duplicity's, and nothing
 * that a kept backup needs, or that is not a backup's, ever goes.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CreateMultipartUploadCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { openProfile } from '../src/collection/access.js';
import type { ListedObject } from '../src/collection/backup-set.js';
import { parseName } from '../src/collection/names.js';
import { takeLock } from '../src/index/lock.js';
import type { Request } from '../src/target/recording.js';
import { connect } from '../src/target/s3-client.js';
import type { S3Location } from '../src/target/url.js';
import { type Ended, profile, sandbox, tsdup } from './cli.js';
import { History } from './history.js';
import { startRadosgw } from './radosgw.js';

const PASSPHRASE = 'a passphrase of the retention test';
const KEEP = 'MAX_AGE=1Y\nMAX_FULL_BACKUPS=2\nMAX_FULLS_WITH_INCRS=1';

for (const kind of ['file', 's3'] as const) {
	describe(kind === 'file' ? 'a folder' : 'S3', () => {
		const box = sandbox();
		const trace = join(box.dir, 'trace');
		const foreign = ['README', 'duplicity-full.20100101T000000Z.vol1.difftar.gpg.bak'];
		let history: History;
		let bucket: S3Location | null = null;
		let all: ListedObject[];
		/** Times of the sets, s: of four chains, the oldest first. */
		const a: number[] = [];
		const b: number[] = [];
		const c: number[] = [];
		const d: number[] = [];

		before(async () => {
			// Backups with made-up times are made in this process.
			const { TMPDIR: _, ...env } = box.env;
			Object.assign(process.env, env);
			const { conf, stock, location } = kind === 'file' ? inFolder(box.dir) : await inBucket();
			bucket = location;
			history = new History(box, 'p', `${conf}\nGPG_PW='${PASSPHRASE}'\n${KEEP}`, stock);
			// Whoever does not know the passphrase can delete all the same.
			profile(box, 'keyless', `${conf}\nGPG_PW='another one'\n`);
			for (const [chain, days] of [
				[a, [500, 450, 400]],
				[b, [200, 199, 150]],
				[c, [100, 99]],
				[d, [10, 9]],
			] as const) {
				for (const [i, day] of days.entries())
					chain.push(await history.backup(day, i ? 'incremental' : 'full'));
			}
			all = await history.objects();
			await history.stock(['collection-status']);
		});

		after(async () => {
			box.remove();
			if (kind === 's3') await (await startRadosgw()).stop();
		});

		/** Runs tsdup, which must succeed. */
		async function run(args: string[]): Promise<Ended> {
			rmSync(trace, { force: true });
			const ended = await tsdup(args, { env: { ...box.env, TSDUP_TRACE: trace } });
			assert.equal(ended.code, 0, ended.stderr);
			return ended;
		}

		/** What the last run asked of the target, with how often: `delete manifest 3`. */
		function asked(): string[] {
			const requests = existsSync(trace) ? readFileSync(trace, 'utf8').trim().split('\n') : [];
			const counts: { what: string; count: number }[] = [];
			for (const line of requests) {
				const { op, name } = JSON.parse(line) as Request;
				const what = name ? `${op} ${parseName(name)?.part}` : op;
				const last = counts.at(-1);
				if (last?.what === what) last.count++;
				else counts.push({ what, count: 1 });
			}
			return counts.map(({ what, count }) => `${what} ${count}`);
		}

		test('without --force the sets that would go are listed, and nothing is changed', async () => {
			const { stdout, stderr } = await run(['purge', 'p']);
			assert.deepEqual(asked(), ['list 1']);
			assert.equal(stderr, '');
			const lines = stdout.trim().split('\n');
			assert.match(lines[0] as string, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}incremental {2}4 objects, \d/);
			assert.match(lines[2] as string, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}full {9}4 objects, \d/);
			assert.match(
				lines[3] as string,
				/^3 sets with 12 objects, \d+ kB: not deleted yet, --force does it\.$/,
			);
			await history.assertHolds([...a, ...b, ...c, ...d], all);
		});

		test('as JSON, too', async () => {
			const { stdout } = await run(['--json', 'purge', 'p', '300D']);
			const lines = stdout
				.trim()
				.split('\n')
				.map((line) => JSON.parse(line));
			const { summary } = lines.pop();
			assert.deepEqual(
				lines.map(({ kind }) => kind),
				['inc', 'inc', 'full'],
			);
			const bytes = all
				.filter(({ name }) => a.includes(parseName(name)?.time ?? 0))
				.reduce((n, { size }) => n + size, 0);
			assert.deepEqual(summary, { deleted: false, sets: 3, objects: 12, bytes, unfinished: 0 });
		});

		test('purge --force deletes chains that ended before MAX_AGE: manifests, then signatures, then the rest', async () => {
			const { stdout } = await run(['purge', 'p', '--force']);
			assert.match(stdout, /^Deleted 3 sets with 12 objects, \d+ kB\.$/m);
			const [list, manifests, sigtars, ...rest] = asked();
			assert.deepEqual([list, manifests, sigtars], ['list 1', 'delete manifest 3', 'delete sigtar 3']);
			assert.ok(
				rest.every((what) => /^delete (volume|segment) \d$/.test(what)),
				rest.join(),
			);
			await history.assertHolds([...b, ...c, ...d], all);
		});

		test('a chain whose end is younger than the age stays whole, and that is said', async () => {
			const { stdout, stderr } = await run(['purge', 'p', '180D', '--force']);
			assert.equal(stdout, 'There is nothing to delete.\n');
			assert.match(stderr, /^2 sets from .* on would be outdated, but newer ones build on them/);
		});

		test('purge-incr deletes increments of older chains, without any passphrase', async () => {
			await run(['purge-incr', 'keyless', '2', '--force']);
			assert.ok(asked().every((what) => /^(list|delete)/.test(what)));
			await history.assertHolds([...b.slice(0, 1), ...c, ...d], all);
		});

		test('what stays is still in the index: nothing of it is read again', async () => {
			await run(['list', 'p', String(b[0])]);
			assert.deepEqual(asked(), ['list 1']);
			const left = [...b.slice(0, 1), ...c, ...d];
			await (kind === 'file' ? history.assertComesBack(left) : history.assertRestores(left));
		});

		test('purge-full keeps MAX_FULL_BACKUPS full backups with their increments', async () => {
			await run(['purge-full', 'p', '--force']);
			await history.assertHolds([...c, ...d], all);
		});

		test('purge-auto does what the conf says', async () => {
			const { stdout } = await run(['purge-auto', 'p', '--force']);
			assert.match(stdout, /^Deleted 1 set with 4 objects/m);
			await history.assertHolds([...c.slice(0, 1), ...d], all);
			await history.assertRestores([...c.slice(0, 1), ...d]);
		});

		test('the newest chain is never deleted, however old it is', async () => {
			const { stderr } = await run(['purge', 'p', 'now', '--force']);
			assert.match(stderr, /^The newest chain, .*, stays/m);
			await history.assertHolds(d, all);
			await history.assertRestores(d);
		});

		test('while another run holds the lock, nothing is listed or deleted', async () => {
			const { cacheDir } = await openProfile(join(box.env.TSDUP_PROFILES as string, 'p'));
			const release = takeLock(join(cacheDir, 'lock.sqlite'));
			try {
				for (const args of [
					['purge', 'p', 'now', '--force'],
					['cleanup', 'p'],
				]) {
					const { code, stdout, stderr } = await tsdup(args, box);
					assert.deepEqual([code, stdout], [5, '']);
					assert.match(stderr, /Another run works on this collection/);
				}
			} finally {
				release();
			}
		});

		test('cleanup deletes left-over sets, segments and half-written objects, and nothing else', async () => {
			const { target } = await openProfile(join(box.env.TSDUP_PROFILES as string, 'p'));
			const put = async (name: string) => {
				const object = target.create(name);
				await object.write(Buffer.from(name));
				await object.commit();
			};
			const leftOver = [
				// An interrupted run, an increment whose full is gone, segments and signatures of sets that are gone.
				'duplicity-inc.20200101T000000Z.to.20200102T000000Z.vol1.difftar.gpg',
				'duplicity-inc.20200201T000000Z.to.20200202T000000Z.vol1.difftar.gpg',
				'duplicity-inc.20200201T000000Z.to.20200202T000000Z.manifest.gpg',
				'tsdup-index.20200301T000000Z.segment.gpg',
				'duplicity-full-signatures.20200401T000000Z.sigtar.gpg',
				'duplicity-full.20200501T000000Z.jsonstat.gpg',
			];
			for (const name of [...leftOver, ...foreign]) await put(name);
			if (bucket) {
				const Key = 'some/prefix/duplicity-full.20200601T000000Z.vol1.difftar.gpg';
				await connect(bucket).send(new CreateMultipartUploadCommand({ Bucket: bucket.bucket, Key }));
			} else {
				writeFileSync(join(box.dir, 'target', '.tsdup-tmp-1'), 'half written');
			}
			const before = await history.objects();
			const dry = await run(['cleanup', 'p']);
			assert.match(
				dry.stdout,
				/incremental {2}2 objects, .*: the set of 20200201T000000Z, which it builds on, is not/,
			);
			assert.match(dry.stdout, /^Begun and not ended: /m);
			assert.match(dry.stdout, /^5 sets with 6 objects, .*, and 1 unfinished object: not deleted yet/m);
			assert.deepEqual(await history.objects(), before);
			await run(['cleanup', 'p', '--force']);
			const left = (await history.objects()).filter(({ name }) => !foreign.includes(name));
			assert.equal(left.length, before.length - leftOver.length - foreign.length);
			assert.deepEqual(await target.unfinished(), []);
			if (bucket) {
				const { Uploads } = await connect(bucket).send(
					new ListMultipartUploadsCommand({ Bucket: bucket.bucket }),
				);
				assert.deepEqual(Uploads ?? [], []);
			}
			await target.delete(foreign);
			await history.assertHolds(d, all);
			assert.equal((await run(['cleanup', 'p'])).stdout, 'There is nothing to delete.\n');
		});

		test('the chain goes on after it', async () => {
			d.push(await history.backup(1, 'incremental'));
			await history.assertComesBack(d);
		});
	});
}

test('without an age or a number, or with a bad one, nothing is done', async () => {
	const box = sandbox();
	try {
		mkdirSync(join(box.dir, 'target'));
		profile(box, 'p', `TARGET='file://${box.dir}/target'\nGPG_KEY='disabled'\n`);
		for (const [args, message] of [
			[['purge', 'p'], /Set MAX_AGE in .*conf, or give an age, such as 6M/],
			[['purge-full', 'p'], /Set MAX_FULL_BACKUPS in .*conf, or give a number/],
			[['purge-incr', 'p'], /Set MAX_FULLS_WITH_INCRS in /],
			[['purge-auto', 'p'], /set MAX_AGE, MAX_FULL_BACKUPS, MAX_FULLS_WITH_INCRS or some of them/],
			[['purge', 'p', 'yesterday'], /"yesterday" is not a time/],
			[['purge-full', 'p', '0'], /"0" is not a number of full backups/],
			[['purge-incr', 'p', '1x'], /"1x" is not a number of full backups/],
		] as const) {
			const { code, stderr } = await tsdup([...args, '--force'], box);
			assert.equal(code, 2, args.join(' '));
			assert.match(stderr, message);
		}
	} finally {
		box.remove();
	}
});

function inFolder(dir: string) {
	const url = `file://${join(dir, 'target')}`;
	return { conf: `TARGET='${url}'`, stock: { url, options: [], env: { PASSPHRASE } }, location: null };
}

async function inBucket() {
	const server = await startRadosgw();
	const location = await server.createBucket('retention');
	const env = {
		AWS_ACCESS_KEY_ID: server.accessKeyId,
		AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
		AWS_DEFAULT_REGION: 'us-east-1',
		PASSPHRASE,
	};
	const options = ['--s3-endpoint-url', server.endpoint];
	const conf = [
		`TARGET='boto3+s3://retention/some/prefix'`,
		`TARGET_USER='${server.accessKeyId}'`,
		`TARGET_PASS='${server.secretAccessKey}'`,
		`DUPL_PARAMS='${options.join(' ')}'`,
	].join('\n');
	return { conf, stock: { url: 'boto3+s3://retention/some/prefix', options, env }, location };
}

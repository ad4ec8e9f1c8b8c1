/** Collections that duplicity wrote are shown from S3 as from a folder. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { connect } from '../src/target/s3-client.js';
import { profile, sandbox } from './cli.js';
import { assertShows, importKeys, mount, PASSPHRASE, requests, unpack } from './fixtures.js';
import { type Radosgw, startRadosgw } from './radosgw.js';

const BUCKET = 'foreign';
const box = sandbox();
Object.assign(box.env, { TZ: 'UTC', PASSPHRASE, TSDUP_TRACE: join(box.dir, 'trace') });
let server: Radosgw;

before(async () => {
	importKeys(box);
	server = await startRadosgw();
	const client = connect(await server.createBucket(BUCKET));
	for (const [name] of COLLECTIONS) {
		const folder = unpack(box, name);
		for (const file of readdirSync(folder)) {
			const Body = readFileSync(join(folder, file));
			await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: `some/${name}/${file}`, Body }));
		}
	}
});

after(async () => {
	box.remove();
	await server.stop();
});

const PREFIXES =
	'--file-prefix all- --file-prefix-manifest man- --file-prefix-archive arc- --file-prefix-signature sig-';

const COLLECTIONS = [
	['plain-31', 'std', [0, 1, 2, 3, 4, 5], `GPG_KEY='disabled'`, ''],
	['sym-08', 'std', [0, 1, 2, 3, 4, 5], `GPG_PW='${PASSPHRASE}'`, ''],
	['ecc-08', 'mini', [0, 1], `GPG_KEY='CEECE5A728A78B25'\nGPG_PW='${PASSPHRASE}'`, ''],
	['multivol-08', 'patt', [0, 1], `GPG_KEY='disabled'`, ''],
	['prefix-08', 'mini', [0, 1], `GPG_KEY='disabled'`, PREFIXES],
] as const;

for (const [name, kind, steps, conf, options] of COLLECTIONS) {
	test(`${name}: every snapshot, and again from the cache with one listing`, async () => {
		profile(
			box,
			name,
			[
				`SOURCE='/nowhere'\nTARGET='s3:///${BUCKET}/some/${name}'\n${conf}`,
				`TARGET_USER='${server.accessKeyId}'\nTARGET_PASS='${server.secretAccessKey}'`,
				`DUPL_PARAMS='--s3-endpoint-url ${server.endpoint} ${options}'`,
			].join('\n'),
		);
		const cold = await mount(box, '-p', name);
		assertShows(cold, kind, steps);
		await cold.umount();
		const before = requests(box).length;
		const warm = await mount(box, '-p', name);
		assertShows(warm, kind, steps);
		await warm.umount();
		assert.deepEqual(
			requests(box)
				.slice(before)
				.map(({ op }) => op),
			['list'],
		);
	});
}

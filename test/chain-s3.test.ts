/** A chain on an S3 server comes back whole from every reader there is, stock duplicity among them. */
import { after, before, test } from 'node:test';
import { Chain } from './chain.js';
import { ChainSource } from './chain-source.js';
import { type Sandbox, sandbox } from './cli.js';
import { type Radosgw, startRadosgw } from './radosgw.js';

const PASSPHRASE = 'a passphrase: with "quotes", $signs and \\';

let server: Radosgw;
let box: Sandbox;
let chain: Chain;

before(async () => {
	server = await startRadosgw();
	await server.createBucket('chain');
	box = sandbox();
	const keys = { AWS_ACCESS_KEY_ID: server.accessKeyId, AWS_SECRET_ACCESS_KEY: server.secretAccessKey };
	chain = new Chain({
		sandbox: box,
		name: 's3',
		conf: `
			export AWS_ACCESS_KEY_ID='${keys.AWS_ACCESS_KEY_ID}'
			export AWS_SECRET_ACCESS_KEY='${keys.AWS_SECRET_ACCESS_KEY}'
			TARGET='s3:///chain/of/backups'
			GPG_PW='${PASSPHRASE}'
			DUPL_PARAMS='--volsize 5 --s3-endpoint-url ${server.endpoint}'`,
		scale: { smallFiles: 2000, bigFile: 0 },
		stock: {
			url: 'boto3+s3://chain/of/backups',
			options: ['--s3-endpoint-url', server.endpoint],
			env: { ...keys, PASSPHRASE },
		},
	});
	await chain.build();
});

after(async () => {
	box.remove();
	await server.stop();
});

test('every snapshot comes back by stock, by the mount and by restore', () =>
	chain.assertComesBack([0, 3, ChainSource.steps]));

test('tsdup fetches a file and a folder', async () => {
	await chain.assertFetches('edited', 2);
	await chain.assertFetches('dir-to-file', 0);
});

test('stock duplicity continues it', () => chain.stock.assertContinues());

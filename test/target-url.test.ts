/** Every form of target URL that duplicity and duply profiles hold leads to the right place, and none leaks. */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { describe as suite, test } from 'node:test';
import { UsageError } from '../src/errors.js';
import { describe, parseTargetUrl, type TargetLocation, type TargetUrlOptions } from '../src/target/url.js';

const file = (path: string): TargetLocation => ({ kind: 'file', path });
const s3 = (bucket: string, prefix: string, more: object = {}): TargetLocation => ({
	kind: 's3',
	bucket,
	prefix,
	...more,
});
const keys = (accessKeyId: string, secretAccessKey: string) => ({
	credentials: { accessKeyId, secretAccessKey },
});

const table: [string, TargetLocation, TargetUrlOptions?][] = [
	['file:///backups/host', file('/backups/host')],
	['file:///with%20space/%C3%A9', file('/with space/é')],
	['file://relative/path', file(resolve('relative/path'))],
	['FILE:///backups/', file('/backups')],

	['s3:///bucket', s3('bucket', '')],
	['s3:///bucket/a/b', s3('bucket', 'a/b')],
	['s3:///my.bucket/a', s3('my.bucket', 'a')],
	['s3://bucket', s3('bucket', '')],
	['s3://bucket/a/b/', s3('bucket', 'a/b')],
	['s3://bucket//a///b', s3('bucket', 'a/b')],
	['s3://bucket/a%20b/%40', s3('bucket', 'a b/@')],
	['s3://bucket/a@b', s3('bucket', 'a@b')],
	['s3://my.bucket', s3('my.bucket', '')],

	['s3://s3.example.org/bucket/a', s3('bucket', 'a', { endpoint: 'https://s3.example.org' })],
	['s3://example.org:9000/bucket/a', s3('bucket', 'a', { endpoint: 'https://example.org:9000' })],
	['s3://minio:9000/bucket', s3('bucket', '', { endpoint: 'https://minio:9000' })],
	['s3://localhost/bucket', s3('bucket', '', { endpoint: 'https://localhost' })],
	['s3://127.0.0.1/bucket', s3('bucket', '', { endpoint: 'https://127.0.0.1' })],
	['s3://[::1]:9000/bucket', s3('bucket', '', { endpoint: 'https://[::1]:9000' })],
	['s3://localhost:80/bucket', s3('bucket', '', { endpoint: 'http://localhost' }), { unencrypted: true }],
	['s3://s3.amazonaws.com/bucket/a', s3('bucket', 'a')],
	['s3://s3.eu-central-1.amazonaws.com/bucket', s3('bucket', '', { region: 'eu-central-1' })],
	['s3://s3-eu-west-1.amazonaws.com/bucket', s3('bucket', '', { region: 'eu-west-1' })],

	['boto3+s3://bucket/a', s3('bucket', 'a')],
	['boto3+s3:///bucket/a', s3('bucket', 'a')],
	['boto3+s3://my.bucket/a', s3('my.bucket', 'a')],
	['s3+http://bucket/a', s3('bucket', 'a')],
	['s3+http://my.bucket/a', s3('my.bucket', 'a')],

	['s3+http://KEY:se%2Fcret@bucket/a', s3('bucket', 'a', keys('KEY', 'se/cret'))],
	[
		's3://KEY:se/cr+et@host:81/bucket/a',
		s3('bucket', 'a', { endpoint: 'https://host:81', ...keys('KEY', 'se/cr+et') }),
	],
	['boto3+s3://KEY:secret@bucket/a@b', s3('bucket', 'a@b', keys('KEY', 'secret'))],
	['s3://KEY@bucket', s3('bucket', '', keys('KEY', 'secret')), { password: 'secret' }],
	['s3://OLD:old@bucket', s3('bucket', '', keys('KEY', 'secret')), { user: 'KEY', password: 'secret' }],
	['s3:///bucket', s3('bucket', '', keys('KEY', 'secret')), { user: 'KEY', password: 'secret' }],
	['s3:///bucket', s3('bucket', ''), { user: '', password: '' }],

	[
		's3://bucket/a',
		s3('bucket', 'a', { endpoint: 'http://h:1', region: 'r' }),
		{ endpoint: 'http://h:1/', region: 'r' },
	],
	['s3://my.bucket/a', s3('my.bucket', 'a', { endpoint: 'https://h' }), { endpoint: 'https://h' }],
	['s3://h.org/bucket/a', s3('bucket', 'a', { endpoint: 'http://h.org' }), { endpoint: 'http://h.org' }],
	['s3://h:1/bucket', s3('bucket', '', { endpoint: 'http://h:1' }), { endpoint: 'http://h:1' }],
	['boto3+s3://bucket', s3('bucket', '', { endpoint: 'https://h.org' }), { endpoint: 'h.org' }],
];

suite('a target URL is understood', () => {
	for (const [url, expected, options] of table) {
		test(options === undefined ? url : `${url} ${JSON.stringify(options)}`, () => {
			assert.deepEqual(parseTargetUrl(url, options), expected);
		});
	}
});

test('a URL that cannot be understood is wrong usage, says what can, and shows no password', () => {
	const wrong: [string, RegExp, TargetUrlOptions?][] = [
		['/backups', /not a URL; write file:\/\/\/path, s3:\/\/\/bucket/],
		['sftp://me:geheim@host/x', /Targets of type sftp:\/\/ are not supported; write file:\/\/\/path, s3:/],
		['file://', /names no folder/],
		['file:///a%zz', /write % itself as %25/],
		['s3://', /names no bucket/],
		['s3:///', /names no bucket/],
		['s3://host:9000/', /names no bucket/],
		['s3://me:geheim@', /names no bucket/],
		['s3://me:geheim@bu cket/x', /not one that S3 allows/],
		['s3://me:12/geheim@host/bucket', /read in two ways; write a slash in the password as %2F/],
		['s3://me@bucket', /has an access key but no secret key/],
		['s3://bucket', /has a secret key but no access key/, { password: 'geheim' }],
		['s3://bucket', /endpoint is not a URL/, { endpoint: 'https://' }],
		['s3://bucket', /without a user/, { endpoint: 'https://me:geheim@host' }],
	];
	for (const [url, expected, options] of wrong) {
		assert.throws(
			() => parseTargetUrl(url, options),
			(error: unknown) => {
				assert.ok(error instanceof UsageError, url);
				assert.match(error.message, expected);
				assert.doesNotMatch(error.message, /geheim/);
				return true;
			},
		);
	}
});

test('the description of a location is a URL without credentials', () => {
	for (const [, location] of table) assert.doesNotMatch(describe(location), /KEY|se.?cr/);
	const shown = (url: string, options?: TargetUrlOptions) => describe(parseTargetUrl(url, options));
	assert.equal(shown('file:///with%20space'), 'file:///with%20space');
	assert.equal(shown('s3://KEY:secret@bucket/a%20b'), 's3:///bucket/a%20b');
	assert.equal(shown('s3://KEY:secret@localhost:9000/bucket'), 's3://localhost:9000/bucket');
	assert.equal(
		shown('boto3+s3://bucket/a', { endpoint: 'https://s3.example.org' }),
		's3://s3.example.org/bucket/a',
	);
});

/**
 * Target URLs, in all forms duplicity took over the years, to a location; no request is made here.
 *
 *     file:///abs/path                        file://rel/path is relative to the working directory
 *     s3:///bucket[/prefix]                   never ambiguous
 *     s3://bucket[/prefix]                    duplicity 2 and later
 *     s3://host[:port]/bucket[/prefix]        duplicity up to 0.8
 *     boto3+s3://bucket[/prefix]              s3+http://bucket[/prefix]
 *
 * Each S3 form may hold `user:password@`. The first name of an s3:// URL is a host when it has a port, is
 * `localhost` or an IP address, is the host of the endpoint option, or, without that option, when it has a dot
 * and a bucket follows it. Transport is https unless an option says http. Everything is percent-decoded.
 */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { UsageError } from '../errors.js';

export interface FileLocation {
	readonly kind: 'file';
	/** Absolute. */
	readonly path: string;
}

export interface S3Credentials {
	readonly accessKeyId: string;
	readonly secretAccessKey: string;
	readonly sessionToken?: string;
}

export interface S3Location {
	readonly kind: 's3';
	readonly bucket: string;
	/** Without a slash at either end; empty for the whole bucket. */
	readonly prefix: string;
	/** `http[s]://host[:port]`; absent for AWS. */
	readonly endpoint?: string;
	/** Absent: what the AWS environment or configuration says, else us-east-1. */
	readonly region?: string;
	/** Absent: the AWS SDK's usual chain (environment, ~/.aws, instance role). */
	readonly credentials?: S3Credentials;
	/** S3's name of a storage class, as GLACIER; absent for the bucket's default. */
	readonly storageClass?: string;
	/** Names may hold slashes, so what lies in folders below the prefix is listed, too. */
	readonly deep?: boolean;
}

export type TargetLocation = FileLocation | S3Location;

export interface TargetUrlOptions {
	/** The access key and the secret key; each wins over the URL's. */
	readonly user?: string;
	readonly password?: string;
	/** `http[s]://host[:port]`, or without the scheme. */
	readonly endpoint?: string;
	readonly region?: string;
	/** Speak http to a host that is given without a scheme. */
	readonly unencrypted?: boolean;
}

const SUPPORTED =
	'write file:///path, s3:///bucket/prefix, s3://host[:port]/bucket/prefix, boto3+s3://bucket/prefix or s3+http://bucket/prefix';

/** @throws UsageError, which never shows a password */
export function parseTargetUrl(url: string, options: TargetUrlOptions = {}): TargetLocation {
	const [, scheme = '', rest = ''] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(url) ?? [];
	switch (scheme.toLowerCase()) {
		case 'file':
			if (rest === '') throw new UsageError(`The target URL file:// names no folder; ${SUPPORTED}`);
			return { kind: 'file', path: resolve(decode(rest)) };
		case 's3':
			return parseS3(rest, true, options);
		case 'boto3+s3':
		case 's3+http':
			return parseS3(rest, false, options);
		case '':
			throw new UsageError(`The target is not a URL; ${SUPPORTED}`);
		default:
			throw new UsageError(`Targets of type ${scheme}:// are not supported; ${SUPPORTED}`);
	}
}

/** The location as a URL for messages: no credentials in it. */
export function describe(location: TargetLocation): string {
	if (location.kind === 'file') return pathToFileURL(location.path).href;
	const host = location.endpoint === undefined ? '' : new URL(location.endpoint).host;
	const path = location.prefix === '' ? location.bucket : `${location.bucket}/${location.prefix}`;
	return `s3://${host}/${encodeURI(path)}`;
}

function parseS3(afterScheme: string, mayNameHost: boolean, options: TargetUrlOptions): S3Location {
	const { user, password, rest } = splitCredentials(afterScheme);
	const [first = '', ...others] = rest.split('/');
	const path = others.filter((name) => name !== '');
	const endpoint = options.endpoint === undefined ? undefined : parseEndpoint(options.endpoint, options);
	const host = mayNameHost && isHost(first, path, endpoint) ? first : undefined;

	const names = (host === undefined && first !== '' ? [first, ...path] : path).map(decode);
	const [bucket, ...prefix] = names;
	if (bucket === undefined) throw new UsageError(`The target URL names no bucket; ${SUPPORTED}`);
	if (!/^[a-z0-9][a-z0-9._-]+$/i.test(bucket)) {
		throw new UsageError(`The bucket name in the target URL is not one that S3 allows; ${SUPPORTED}`);
	}

	const aws = host === undefined || endpoint !== undefined ? undefined : awsRegion(host);
	const server =
		endpoint ?? (host === undefined || aws !== undefined ? undefined : parseEndpoint(host, options));
	const region = options.region ?? (aws || undefined);
	const credentials = pairCredentials(options.user ?? user, options.password ?? password);
	return {
		kind: 's3',
		bucket,
		prefix: prefix.join('/'),
		...(server !== undefined && { endpoint: server }),
		...(region !== undefined && { region }),
		...(credentials !== undefined && { credentials }),
	};
}

/** `user:password@`, `user@` or nothing in front. A secret key may hold a bare slash, as old profiles have it. */
function splitCredentials(text: string): { user?: string; password?: string; rest: string } {
	const [all, user, password] = /^([^/:@]+)(?::([^@]*))?@/.exec(text) ?? [];
	if (all === undefined || user === undefined) return { rest: text };
	if (password !== undefined && /^\d+\//.test(password)) {
		throw new UsageError(
			'The target URL can be read in two ways; write a slash in the password as %2F, an @ in the prefix as %40',
		);
	}
	const rest = text.slice(all.length);
	return { user: decode(user), ...(password !== undefined && { password: decode(password) }), rest };
}

function pairCredentials(user: string | undefined, password: string | undefined): S3Credentials | undefined {
	if (!user && !password) return undefined;
	if (!user) throw new UsageError('The target has a secret key but no access key; set TARGET_USER too');
	if (!password) throw new UsageError('The target has an access key but no secret key; set TARGET_PASS too');
	return { accessKeyId: user, secretAccessKey: password };
}

function isHost(name: string, path: readonly string[], endpoint: string | undefined): boolean {
	if (/:\d+$/.test(name) || name === 'localhost' || /^\[.*\]$/.test(name)) return true;
	if (/^\d+\.\d+\.\d+\.\d+$/.test(name)) return true;
	if (endpoint !== undefined) return name !== '' && name === new URL(endpoint).hostname;
	return name.includes('.') && path.length > 0;
}

/** AWS needs no endpoint. @returns the region in an AWS host name, '' when it holds none, undefined for other hosts */
function awsRegion(host: string): string | undefined {
	const match = /^s3(?:[.-]([a-z]+(?:-[a-z]+)+-\d+))?\.amazonaws\.com$/.exec(host);
	return match === null ? undefined : (match[1] ?? '');
}

function parseEndpoint(text: string, options: TargetUrlOptions): string {
	const full = text.includes('://') ? text : `${options.unencrypted ? 'http' : 'https'}://${text}`;
	let url: URL;
	try {
		url = new URL(full);
	} catch (cause) {
		throw new UsageError('The S3 endpoint is not a URL; write https://host[:port]', { cause });
	}
	if (!/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') {
		throw new UsageError('The S3 endpoint must be https://host[:port] or http://host[:port], without a user');
	}
	return url.href.replace(/\/+$/, '');
}

function decode(text: string): string {
	try {
		return decodeURIComponent(text);
	} catch {
		throw new UsageError('The target URL holds a % that starts no valid escape; write % itself as %25');
	}
}

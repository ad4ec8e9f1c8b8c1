/**
 * What went wrong with a request, as a sentence for people. Secrets cannot get in: only the bucket, the host,
 * the object's name and the store's own error code and message are used.
 */
import { MissingObjectError, TargetError, TsdupError } from '../errors.js';
import { describe, type S3Location } from './url.js';

const KEYS = 'TARGET_USER and TARGET_PASS, or the AWS credentials';

/** By the store's error code, Node's, or the SDK's name. `B` is the bucket, `H` the host. */
const REASONS: Readonly<Record<string, string>> = {
	NoSuchBucket: 'there is no bucket B at H; create it, or check TARGET',
	AccessDenied: 'access denied; check the rights of the access key on the bucket B',
	AllAccessDisabled: 'access to the bucket B is disabled',
	SignatureDoesNotMatch: `H does not accept the secret key; check ${KEYS}`,
	InvalidAccessKeyId: `H does not know the access key; check ${KEYS}`,
	ExpiredToken: 'the session token has expired; get new AWS credentials',
	InvalidToken: 'H does not accept the session token; get new AWS credentials',
	CredentialsProviderError: `no usable credentials were found; set ${KEYS}`,
	RequestTimeTooSkewed: "this machine's clock and that of H differ too much; set the clock",
	AuthorizationHeaderMalformed: 'the region is not that of the bucket B; set --s3-region-name',
	PermanentRedirect: 'the bucket B is in another region or at another host; set --s3-region-name',
	InvalidObjectState: 'the object is archived (a Glacier class); thaw it at the store, then run again',
	PreconditionFailed: 'the object was replaced while it was read; run again',
	InvalidPart: 'H does not have the parts that it was sent; run again',
	QuotaExceeded: 'the storage quota is used up',
	SlowDown: 'H is too busy; run again later',
	ServiceUnavailable: 'H is too busy; run again later',
	ENOTFOUND:
		'the host H is unknown; check TARGET (a bucket with dots in its name: s3:///B/prefix) and the network',
	EAI_AGAIN: 'the host H cannot be looked up; check the network',
	ECONNREFUSED: 'nothing listens at H; check the host and port in TARGET',
	EHOSTUNREACH: 'H cannot be reached; check the network',
	ENETUNREACH: 'H cannot be reached; check the network',
	ECONNRESET: 'H cut the connection; run again later',
	EPIPE: 'H cut the connection; run again later',
	ETIMEDOUT: 'H does not answer; check the network',
	TimeoutError: 'H does not answer; check the network',
	EPROTO: 'H does not speak TLS; for plain http give --s3-endpoint-url http://…',
	ERR_TLS_CERT_ALTNAME_INVALID: 'the certificate of H is for another name; check the host in TARGET',
	CERT_HAS_EXPIRED: 'the certificate of H has expired',
	DEPTH_ZERO_SELF_SIGNED_CERT: 'the certificate of H is self-signed; name its file in NODE_EXTRA_CA_CERTS',
	SELF_SIGNED_CERT_IN_CHAIN: 'the certificate of H is self-signed; name its file in NODE_EXTRA_CA_CERTS',
	UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		'the issuer of the certificate of H is unknown; name its file in NODE_EXTRA_CA_CERTS',
};

/**
 * @param verb what was tried, as in `Cannot VERB …`
 * @param name the object; absent for a request about the whole target
 */
export function s3Error(location: S3Location, verb: string, name: string | undefined, cause: unknown): Error {
	if (cause instanceof TsdupError) return cause;
	const url = describe(location);
	const codes = errorCodes(cause);
	if (name !== undefined && (codes.includes('NoSuchKey') || codes.includes('NotFound'))) {
		return new MissingObjectError(`${name} is missing from ${url}`, { cause });
	}
	const subject = name === undefined ? url : `${name} at ${url}`;
	const host = location.endpoint === undefined ? 'AWS' : new URL(location.endpoint).host;
	const known = codes.map((code) => REASONS[code]).find((reason) => reason !== undefined);
	const reason = known?.replaceAll(/\bB\b/g, () => location.bucket).replaceAll(/\bH\b/g, () => host);
	return new TargetError(`Cannot ${verb} ${subject}: ${reason ?? unknownReason(cause)}`, { cause });
}

/** The HTTP status the store answered with, if it answered. */
export function statusOf(error: unknown): number | undefined {
	const metadata = field(error, '$metadata');
	const status = field(metadata, 'httpStatusCode');
	return typeof status === 'number' ? status : undefined;
}

/** Names to look a failure up by, the most telling first; a failed connection holds its cause inside. */
export function errorCodes(error: unknown): string[] {
	const codes = [field(error, 'name'), field(error, 'Code'), field(error, 'code')];
	if (statusOf(error) === 403) codes.push('AccessDenied');
	if (statusOf(error) === 301) codes.push('PermanentRedirect');
	const cause = field(error, 'cause');
	return [...codes.filter((code) => typeof code === 'string'), ...(cause ? errorCodes(cause) : [])];
}

function unknownReason(error: unknown): string {
	const status = statusOf(error);
	const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
	return status === undefined ? message : `${message} (HTTP ${status})`;
}

function field(value: unknown, key: string): unknown {
	return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}

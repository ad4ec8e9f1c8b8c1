/** The AWS SDK's client, set up so that every S3 store we know of accepts its requests. `S3Target` makes one. */
import { Readable } from 'node:stream';
import { S3Client } from '@aws-sdk/client-s3';
import { Patience } from './retry.js';
import { type RequestClass, Traffic } from './traffic.js';
import type { S3Location } from './url.js';

export interface ConnectOptions {
	/** Milliseconds without a byte after which a connection is cut; the request is then tried again. */
	readonly stall?: number;
	/** Milliseconds for which a failed request is tried again. */
	readonly patience?: number;
	readonly traffic?: Traffic;
	/** Path of a file that is there if the store has refused to create only: see s3-create-only.ts. */
	readonly createOnlyRefused?: string;
}

/** As the AWS tools do when nothing names a region; other stores mostly ignore it. */
const DEFAULT_REGION = 'us-east-1';

/** The deletion of 1000 objects on slow disks takes most of that, ms. */
export const DEFAULT_STALL = 60_000;

/** Short enough for a person, and for a mount, which answers a program within 25 s; ms. */
export const DEFAULT_PATIENCE = 15_000;

const CONNECTION_TIMEOUT = 10_000;

const quiet = () => undefined;

/** Makes no request; wrong credentials and unreachable hosts show at the first one. */
export function connect(location: S3Location, options: ConnectOptions = {}): S3Client {
	// The SDK's own switch for its notice about the age of Node, read when a client is made.
	process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
	const { endpoint, region, credentials } = location;
	const { stall = DEFAULT_STALL, patience = DEFAULT_PATIENCE, traffic = new Traffic() } = options;
	const client = new S3Client({
		// Path style: most stores outside AWS have no DNS name per bucket.
		...(endpoint === undefined ? { followRegionRedirects: true } : { endpoint, forcePathStyle: true }),
		...(credentials !== undefined && { credentials }),
		region: region ?? defaultRegion(),
		// Newer checksums make Swift, old MinIO and older Ceph refuse; the writer checks uploads by MD5.
		requestChecksumCalculation: 'WHEN_REQUIRED',
		responseChecksumValidation: 'WHEN_REQUIRED',
		retryStrategy: new Patience(patience, () => traffic.retries++),
		requestHandler: { connectionTimeout: Math.min(CONNECTION_TIMEOUT, stall), socketTimeout: stall },
		// With any other logger (none included) some parts of the SDK write warnings to the terminal.
		logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
	});
	meter(client, traffic);
	return client;
}

interface HttpRequest {
	method: string;
	query: Record<string, unknown>;
	body?: unknown;
}

/** Counts each request that really goes out, and sends its body at the pace that is asked for. */
function meter(client: S3Client, traffic: Traffic): void {
	client.middlewareStack.add(
		(next) => async (args) => {
			const request = args.request as HttpRequest;
			traffic.requests[classOf(request)]++;
			const { body } = request;
			if (!(body instanceof Uint8Array)) return next(args);
			traffic.uploaded += body.length;
			if (traffic.upload === null) return next(args);
			// A copy: a further attempt sends the body from its beginning.
			const paced = Object.create(request, { body: { value: Readable.from(traffic.upload.slices(body)) } });
			return next({ ...args, request: paced });
		},
		// Innermost: inside of the retries, and next to the connection.
		{ step: 'deserialize', priority: 'low', name: 'traffic' },
	);
}

function classOf({ method, query }: HttpRequest): RequestClass {
	if (method === 'DELETE' || 'delete' in query) return 'delete';
	if (method !== 'GET' && method !== 'HEAD') return 'put';
	return 'list-type' in query || 'uploads' in query ? 'list' : 'read';
}

/** What AWS_REGION or ~/.aws/config says, asked once, when the first request needs it. */
function defaultRegion(): () => Promise<string> {
	let region: Promise<string> | undefined;
	return () => {
		region ??= new S3Client().config.region().catch(() => DEFAULT_REGION);
		return region;
	};
}

/** The AWS SDK's client, set up so that every S3 store we know of accepts its requests. `S3Target` makes one. */
import { S3Client } from '@aws-sdk/client-s3';
import type { S3Location } from './url.js';

/** As the AWS tools do when nothing names a region; other stores mostly ignore it. */
const DEFAULT_REGION = 'us-east-1';

const quiet = () => undefined;

/** Makes no request; wrong credentials and unreachable hosts show at the first one. */
export function connect(location: S3Location): S3Client {
	// The SDK's own switch for its notice about the age of Node, read when a client is made.
	process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
	const { endpoint, region, credentials } = location;
	return new S3Client({
		// Path style: most stores outside AWS have no DNS name per bucket.
		...(endpoint === undefined ? { followRegionRedirects: true } : { endpoint, forcePathStyle: true }),
		...(credentials !== undefined && { credentials }),
		region: region ?? defaultRegion(),
		// Newer checksums make Swift, old MinIO and older Ceph refuse; the signature covers each body anyway.
		requestChecksumCalculation: 'WHEN_REQUIRED',
		responseChecksumValidation: 'WHEN_REQUIRED',
		retryMode: 'standard',
		maxAttempts: 5,
		// A socket without progress for a minute is cut and the request tried again; the deletion of
		// 1000 objects on slow disks takes most of that.
		requestHandler: { connectionTimeout: 10_000, socketTimeout: 60_000 },
		// With any other logger (none included) some parts of the SDK write warnings to the terminal.
		logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
	});
}

/** What AWS_REGION or ~/.aws/config says, asked once, when the first request needs it. */
function defaultRegion(): () => Promise<string> {
	let region: Promise<string> | undefined;
	return () => {
		region ??= new S3Client().config.region().catch(() => DEFAULT_REGION);
		return region;
	};
}

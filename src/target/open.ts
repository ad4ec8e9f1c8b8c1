/** From a location to a target that works on it. The AWS SDK (90 ms, 20 MiB) is loaded for S3 only. */
import { mkdir } from 'node:fs/promises';
import { TargetError } from '../errors.js';
import { FolderTarget } from './file.js';
import { RecordingTarget } from './recording.js';
import type { ConnectOptions } from './s3-client.js';
import type { Target } from './target.js';
import type { Traffic } from './traffic.js';
import type { TargetLocation } from './url.js';

export type { TargetLocation } from './url.js';

export interface OpenOptions extends ConnectOptions {
	readonly create: boolean;
}

/**
 * @param options.create make a missing folder, mode 0700 (a backup does); a missing bucket is never made.
 *   Without it, a missing folder is told by the first request.
 * @throws TargetError
 */
export async function openTarget(location: TargetLocation, options: OpenOptions): Promise<Target> {
	if (location.kind === 's3') {
		const { S3Target } = await import('./s3.js');
		return new S3Target(location, options);
	}
	if (options.create) {
		await mkdir(location.path, { recursive: true, mode: 0o700 }).catch((cause) => {
			throw new TargetError(`Cannot make the target folder ${location.path}: ${cause.message}`, { cause });
		});
	}
	const folder = new FolderTarget(location.path);
	return options.traffic ? counted(folder, options.traffic) : folder;
}

/** Of a folder, what would be requests is counted. */
function counted(folder: Target, traffic: Traffic): Target {
	return new RecordingTarget(folder, ({ op, length = 0 }) => {
		if (op === 'sweep' || op === 'unfinished') return;
		traffic.requests[op === 'stream' ? 'read' : op]++;
		if (op === 'put') traffic.uploaded += length;
		if (op === 'read') traffic.downloaded += length;
	});
}

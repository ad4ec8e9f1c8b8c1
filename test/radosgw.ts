/** A real S3 server for tests: Ceph's radosgw by scripts/radosgw.sh, one per test process, ready in 2 s. */
import { execFile, execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { connect } from '../src/target/s3-client.js';
import type { S3Location } from '../src/target/url.js';

export interface Radosgw {
	/** `http://127.0.0.1:port` */
	readonly endpoint: string;
	readonly accessKeyId: string;
	readonly secretAccessKey: string;
	/** @returns a location with the keys, for the whole new bucket */
	createBucket(name: string): Promise<S3Location>;
	/** A user with no rights but those that a bucket's policy gives. @returns the keys */
	createUser(name: string): Promise<{ accessKeyId: string; secretAccessKey: string }>;
	stop(): Promise<void>;
}

const SCRIPT = fileURLToPath(new URL('../../scripts/radosgw.sh', import.meta.url));

let running: Promise<Radosgw> | undefined;

/**
 * The instance of this process, started when first asked for. Rejects when Ceph is not installed: never a skip.
 * @param env of the server, such as a clock of its own (days.ts)
 */
export function startRadosgw(env: NodeJS.ProcessEnv = {}): Promise<Radosgw> {
	running ??= start(env);
	return running;
}

async function start(env: NodeJS.ProcessEnv): Promise<Radosgw> {
	const dir = mkdtempSync(join(tmpdir(), 'tsdup-radosgw-'));
	// Also when a test ends the process before it stops the server.
	const remove = () => {
		execFileSync(SCRIPT, ['stop', dir]);
		rmSync(dir, { recursive: true, force: true });
	};
	process.on('exit', remove);
	const { stdout } = await promisify(execFile)(SCRIPT, ['start', dir, String(await freePorts(3))], {
		env: { ...process.env, ...env },
	});
	const value = (name: string): string => {
		const found = new RegExp(`^${name}=(.*)$`, 'm').exec(stdout)?.[1];
		if (found === undefined) throw new Error(`radosgw.sh did not print ${name}:\n${stdout}`);
		return found;
	};
	const endpoint = value('endpoint');
	const credentials = { accessKeyId: value('access_key'), secretAccessKey: value('secret_key') };
	return {
		endpoint,
		...credentials,
		createBucket: async (bucket) => {
			const location: S3Location = { kind: 's3', bucket, prefix: '', endpoint, credentials };
			await connect(location).send(new CreateBucketCommand({ Bucket: bucket }));
			return location;
		},
		createUser: async (name) => {
			const keys = { accessKeyId: `ACCESSKEYOF${name}`, secretAccessKey: `secret-key-of-${name}` };
			const options = [
				`--uid=${name}`,
				`--display-name=${name}`,
				`--access-key=${keys.accessKeyId}`,
				`--secret-key=${keys.secretAccessKey}`,
			];
			await promisify(execFile)('radosgw-admin', [
				'-c',
				join(dir, 'ceph.conf'),
				'user',
				'create',
				...options,
			]);
			return keys;
		},
		stop: async () => {
			process.off('exit', remove);
			remove();
		},
	};
}

/** The first of `count` free ports in a row, below those the kernel hands out by itself. */
async function freePorts(count: number): Promise<number> {
	for (;;) {
		const first = randomInt(20_000, 32_000);
		const ports = Array.from({ length: count }, (_, i) => first + i);
		if ((await Promise.all(ports.map(isFree))).every((free) => free)) return first;
	}
}

function isFree(port: number): Promise<boolean> {
	return new Promise((resolve) => {
		const server = createServer();
		server.once('error', () => resolve(false));
		server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
	});
}

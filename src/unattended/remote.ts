/** Checks of the target: it answers, takes, gives back and deletes a small object, and its clock is this machine's. */
import { randomBytes } from 'node:crypto';
import { statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ProfileAccess } from '../collection/access.js';
import { parseTargetUrl, type TargetLocation } from '../target/url.js';
import { type Finding, failed, failedBy, ok, warning } from './finding.js';

/** Seconds: S3 refuses requests from a clock that is 15 minutes off; sets are named by this machine's. */
const SKEW = 60;

/** Bytes that a folder's disk should have left. */
const ROOM = 1e9;

const SET_CLOCK = 'set the clock, and keep it set: timedatectl set-ntp true';

/** @returns whether it can be listed, with what was found out */
export async function checkTarget(
	access: ProfileAccess,
): Promise<{ reachable: boolean; findings: Finding[] }> {
	const { target } = access;
	try {
		const objects = await target.list();
		return {
			reachable: true,
			findings: [ok('target', `${target.url} answers, with ${objects.length} objects`)],
		};
	} catch (error) {
		return {
			reachable: false,
			findings: [
				failedBy(
					'target',
					error,
					'do what the sentence says; the first backup makes a folder that is only missing',
				),
			],
		};
	}
}

/** Puts, reads and deletes an object that every duplicity ignores, and that the next backup would sweep. */
export async function checkWriting({ target }: ProfileAccess, location: TargetLocation): Promise<Finding[]> {
	const name = `.tsdup-tmp-doctor-${randomBytes(8).toString('hex')}`;
	const bytes = randomBytes(1000);
	const findings: Finding[] = [];
	let step = 'put';
	try {
		const writer = target.create(name);
		await writer.write(bytes);
		await writer.commit();
		step = 'read';
		if (!(await target.read(name, 0, bytes.length)).equals(bytes))
			return [
				failed('write', 'The target gives back other bytes than it was given', 'do not use this target'),
			];
		if (location.kind === 'file')
			findings.push(checkRoom(location.path), checkSkew(statSync(join(location.path, name)).mtimeMs));
		step = 'delete';
		await target.delete([name]);
		return [ok('write', 'A small object was put, read and deleted'), ...findings];
	} catch (error) {
		if (step === 'delete')
			return [
				warning(
					'write',
					`Nothing can be deleted there: ${(error as Error).message}`,
					'that may be meant, against thieves; else old backups and left-overs stay for ever: give the key the right to delete (docs/s3.md)',
				),
				...findings,
			];
		if (step === 'read') await target.delete([name]).catch(() => undefined);
		return [
			failedBy(
				'write',
				error,
				'give the key, or this user, the right to list, read, write and delete there (docs/s3.md)',
			),
		];
	}
}

function checkRoom(path: string): Finding {
	const { bavail, bsize } = statfsSync(path);
	const found = `${((bavail * bsize) / 1e9).toFixed(1)} GB are free on the target`;
	return bavail * bsize < ROOM
		? warning('room', found, 'make room there, or delete old backups')
		: ok('room', found);
}

/** The clock of an S3 server, from the Date header of an answer to nobody in particular. */
export async function checkClock(location: TargetLocation): Promise<Finding[]> {
	if (location.kind === 'file') return [];
	const url = location.endpoint ?? `https://s3.${location.region ?? 'us-east-1'}.amazonaws.com`;
	try {
		const answer = await fetch(url, {
			method: 'HEAD',
			redirect: 'manual',
			signal: AbortSignal.timeout(10_000),
		});
		const date = Date.parse(answer.headers.get('date') ?? '');
		if (Number.isNaN(date)) return [ok('clock', `${new URL(url).host} does not say what time it is`)];
		return [checkSkew(date)];
	} catch (error) {
		return [
			warning(
				'clock',
				`${new URL(url).host} was not to be asked for its time: ${(error as Error).message}`,
				'check the network',
			),
		];
	}
}

function checkSkew(date: number): Finding {
	const seconds = Math.round(Math.abs(Date.now() - date) / 1000);
	const found = `This clock and the target's are ${seconds} s apart`;
	return seconds > SKEW ? warning('clock', found, SET_CLOCK) : ok('clock', found);
}

/** Where the profile's objects are, without credentials. */
export function locationOf({ conf, parameters }: ProfileAccess): TargetLocation {
	return parseTargetUrl(conf.target, {
		...(parameters.endpoint ? { endpoint: parameters.endpoint } : {}),
		...(parameters.region ? { region: parameters.region } : {}),
		...(conf.values.TARGET_USER ? { user: conf.values.TARGET_USER } : {}),
		...(conf.values.TARGET_PASS ? { password: conf.values.TARGET_PASS } : {}),
		unencrypted: parameters.unencryptedConnection,
	});
}

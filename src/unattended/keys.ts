/** Checks of what opens the backups: that it is here, and that a copy is said to be kept elsewhere. */
import { randomBytes, scryptSync, timingSafeEqual } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProfileAccess } from '../collection/access.js';
import { type Finding, failedBy, ok, warning } from './finding.js';

/** Characters; shorter ones that people think of can be found by trying. */
const SHORT = 12;

export async function checkKeys(access: ProfileAccess): Promise<Finding[]> {
	const { protection, conf } = access;
	if (protection.kind === 'none') return [ok('key', 'Backups are not encrypted')];
	const findings: Finding[] = [];
	try {
		const message = await (await access.encryptor())?.newMessage();
		const known = message && (await opened(access, message.header));
		if (message && known === undefined)
			findings.push(
				warning(
					'key',
					`This machine can make backups but not open them: no secret key or passphrase here does`,
					`that may be meant; else put the secret key into ${conf.dir} as gpgkey.ID.sec.asc, and its passphrase into conf as GPG_PW`,
				),
			);
		else if (protection.kind === 'passphrase' && protection.passphrase.length < SHORT)
			findings.push(
				warning(
					'key',
					`The passphrase has fewer than ${SHORT} characters: whoever can read the target can try them`,
					'take a longer one for a new target; what is there stays as it is',
				),
			);
		else
			findings.push(
				ok(
					'key',
					protection.kind === 'keys'
						? 'The keys are here, and open what is encrypted to them'
						: 'The passphrase is set',
				),
			);
	} catch (error) {
		findings.push(
			failedBy('key', error, `import the key into GnuPG, or put it into ${conf.dir} as gpgkey.ID.pub.asc`),
		);
	}
	return [...findings, await checkKept(access)];
}

async function opened({ opener }: ProfileAccess, header: Buffer): Promise<Buffer | undefined> {
	return opener.sessionKey(header).then(
		({ key }) => key,
		() => undefined,
	);
}

interface Kept {
	readonly where: string;
	/** `2026-11-24` */
	readonly date: string;
	/** Of what opened the backups then: base64. */
	readonly salt: string;
	readonly digest: string;
}

/** Notes that a copy of what opens the backups is kept `where`, a place in the user's own words. */
export async function noteKept(access: ProfileAccess, where: string, date: string): Promise<void> {
	const salt = randomBytes(16);
	const digest = await digestOf(access, salt);
	const kept: Kept = { where, date, salt: salt.toString('base64'), digest: digest.toString('base64') };
	await writeFile(keptPath(access), `${JSON.stringify(kept)}\n`, { mode: 0o600 });
}

async function checkKept(access: ProfileAccess): Promise<Finding> {
	const what = access.protection.kind === 'keys' ? 'keys' : 'passphrase';
	const mend =
		`put ${what === 'keys' ? `the exported secret key and its passphrase (gpg --armor --export-secret-keys ID)` : 'the passphrase'} ` +
		`where this machine's end is not theirs, then: tsdup doctor ${access.conf.name} --kept 'the place'`;
	const text = await readFile(keptPath(access), 'utf8').catch(() => undefined);
	if (text === undefined)
		return warning(
			'copy',
			`Nothing says that a copy of the ${what} is kept elsewhere; without it the backups are lost with this machine`,
			mend,
		);
	try {
		const kept = JSON.parse(text) as Kept;
		const now = await digestOf(access, Buffer.from(kept.salt, 'base64'));
		if (timingSafeEqual(now, Buffer.from(kept.digest, 'base64')))
			return ok(
				'copy',
				`A copy of the ${what} is kept elsewhere, as you said on ${kept.date}: ${kept.where}`,
			);
	} catch {
		// As one that does not fit.
	}
	return warning('copy', `The ${what} changed since you said where a copy is kept`, mend);
}

function keptPath({ conf }: ProfileAccess): string {
	return join(conf.dir, 'kept-elsewhere');
}

/** Slow to guess from, though what it is made of stands in the same folder. */
async function digestOf({ protection, conf }: ProfileAccess, salt: Buffer): Promise<Buffer> {
	const what =
		protection.kind === 'keys'
			? [...protection.recipients, protection.passphrase ?? ''].join('\n')
			: protection.kind === 'passphrase'
				? protection.passphrase
				: conf.name;
	return scryptSync(what, salt, 32);
}

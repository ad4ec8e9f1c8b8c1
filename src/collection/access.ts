/**
 * From a profile, or a bare URL, to all that is needed to work on a collection: where its objects are, who may write
 * and open them, and where this host keeps its index and caches.
 */
import { createHash } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { cacheDirectory } from '../cache-directory.js';
import { UsageError } from '../errors.js';
import { type Encryptor, passphraseEncryptor, publicKeyEncryptor } from '../openpgp/encryptor.js';
import { Gpg } from '../openpgp/gpg.js';
import { fingerprints, hasKey } from '../openpgp/gpg-keys.js';
import { findPublicKeys, readSecretKeys } from '../openpgp/keyring.js';
import { Opener } from '../openpgp/opener.js';
import type { SignerKey } from '../openpgp/signed-by.js';
import { gpgSigner } from '../openpgp/signer.js';
import { type Conf, readConf } from '../profile/conf.js';
import { holdsSlash, type NameForms, standardForms } from '../profile/name-forms.js';
import { type DuplicityParameters, parseParameters } from '../profile/params.js';
import { type Protection, protectionOf } from '../profile/protection.js';
import { type SigningKey, signingKeyOf } from '../profile/signing.js';
import { type OpenOptions, openTarget } from '../target/open.js';
import { RecordingTarget } from '../target/recording.js';
import type { Target } from '../target/target.js';
import type { Traffic } from '../target/traffic.js';
import { describe, parseTargetUrl, type TargetLocation } from '../target/url.js';
import { exportProfileKeys, importProfileKeys, type ProfileKey } from './profile-keys.js';

export interface Access {
	/** The profile's name; of a bare URL, the URL without secrets. */
	readonly name: string;
	readonly target: Target;
	readonly opener: Opener;
	/** Of the objects that belong to this collection. */
	readonly nameForms: NameForms;
	/** Whether its objects must be encrypted: others are not shown. */
	readonly encrypted: boolean;
	/** Holds this collection's index and caches. */
	readonly cacheDir: string;
	/** One sentence each. */
	readonly warnings: readonly string[];
	/** As `warnings`, for who wants to know everything. */
	readonly details: readonly string[];
	/** duplicity's, 0 to 9, or the first letter of its name; null when the profile does not say. */
	readonly verbosity: string | null;
}

export interface ProfileAccess extends Access {
	readonly conf: Conf;
	readonly parameters: DuplicityParameters;
	readonly protection: Protection;
	/** The key that signs backups on this machine; null: none does. @throws TsdupError when gpg cannot run */
	signer(): Promise<SignerKey | null>;
	/**
	 * Who backups are encrypted to, and signed by; null: they are not.
	 * @throws KeyError when a public key is missing, or the key cannot sign
	 */
	encryptor(): Promise<Encryptor | null>;
	/** Brings keys from the profile into GnuPG's keyring, where they lack. @returns one sentence each. @throws KeyError */
	importKeys(): Promise<string[]>;
	/** Brings keys from there into the profile. @returns one sentence each */
	exportKeys(): Promise<string[]>;
}

export interface OpenProfileOptions {
	/** Make the folder of a `file://` target when it is not there. */
	readonly create?: boolean;
	/** The profile's, if it was read already. */
	readonly conf?: Conf;
	/** Milliseconds for which a failed request is tried again. */
	readonly patience?: number;
	/** Counts what goes over the line. */
	readonly traffic?: Traffic;
}

/**
 * Reads the profile and lets what its conf exports (credentials, GNUPGHOME) into this process's environment.
 * @throws UsageError, KeyError, TargetError
 */
export async function openProfile(dir: string, options: OpenProfileOptions = {}): Promise<ProfileAccess> {
	const { create = false, conf: known, ...line } = options;
	const conf = known ?? (await readConf(dir));
	Object.assign(process.env, conf.environment);
	const parameters = parseParameters(conf.parameters);
	const protection = protectionOf(conf, parameters);
	const { GPG, GPG_OPTS, TARGET_USER, TARGET_PASS } = conf.values;
	const location = parseTargetUrl(conf.target, {
		...(TARGET_USER ? { user: TARGET_USER } : {}),
		...(TARGET_PASS ? { password: TARGET_PASS } : {}),
		...(parameters.endpoint ? { endpoint: parameters.endpoint } : {}),
		...(parameters.region ? { region: parameters.region } : {}),
		unencrypted: parameters.unencryptedConnection,
	});
	const storage = location.kind === 's3' && parameters.storageClass;
	const gpg = new Gpg(GPG || 'gpg', `${GPG_OPTS ?? ''} ${parameters.gpgOptions}`.split(' ').filter(Boolean));
	const passphrase = protection.kind === 'none' ? conf.values.GPG_PW : protection.passphrase;
	const opener = new Opener({ passphrase, secretKeys: await readSecretKeys(conf.dir), gpg });
	const warnings = [...conf.warnings, ...parameters.warnings];
	if (protection.kind === 'none' && protection.warning) warnings.push(protection.warning);
	const signing = signingKeyOf(conf, protection);
	const keys = keysOf(protection, signing);
	const { GPG_IMPORT, GPG_EXPORT, ARCH_DIR } = conf.values;
	return {
		...(await open(storage ? { ...location, storageClass: storage } : location, parameters.nameForms, {
			create,
			...line,
			...(parameters.timeout === null ? {} : { stall: parameters.timeout * 1000 }),
			...(ARCH_DIR ? { cache: resolve(ARCH_DIR) } : {}),
		})),
		name: conf.name,
		encrypted: protection.kind !== 'none',
		opener,
		conf,
		parameters,
		protection,
		signer: async () => {
			const key = await activeSigner(signing, gpg);
			return key && { id: key.id, fingerprints: await fingerprints(gpg, key.id), gpg };
		},
		warnings,
		details: conf.details,
		verbosity: conf.values.VERBOSITY || null,
		encryptor: async () => {
			if (protection.kind === 'none') return null;
			const key = await activeSigner(signing, gpg);
			const signer = key && (await gpgSigner(gpg, key.id, key.passphrase));
			const encryptor =
				protection.kind === 'passphrase'
					? passphraseEncryptor(protection.passphrase)
					: publicKeyEncryptor(await findPublicKeys(protection.recipients, conf.dir, gpg));
			return signer ? { ...encryptor, signer } : encryptor;
		},
		importKeys: async () => (isOff(GPG_IMPORT) ? [] : importProfileKeys(conf.dir, keys, gpg)),
		exportKeys: async () => (isOff(GPG_EXPORT) ? [] : exportProfileKeys(conf.dir, keys, gpg)),
	};
}

function isOff(value: string | undefined): boolean {
	return value?.toLowerCase() === 'disabled';
}

/** Every key that the profile names, once. */
function keysOf(protection: Protection, signing: SigningKey | null): ProfileKey[] {
	const recipients = protection.kind === 'keys' ? protection.recipients : [];
	const { passphrase } = protection.kind === 'keys' ? protection : {};
	const keys = recipients.filter((id) => id !== signing?.id).map((id) => ({ id, passphrase }));
	return signing ? [...keys, signing] : keys;
}

/** One that nobody named signs only where its secret key is. */
async function activeSigner(signing: SigningKey | null, gpg: Gpg): Promise<SigningKey | null> {
	return signing?.ifPresent && !(await hasKey(gpg, signing.id, 'secret')) ? null : signing;
}

/** A collection without a profile; its passphrase is in PASSPHRASE, as for duplicity. */
export async function openUrl(url: string): Promise<Access> {
	const location = parseTargetUrl(url);
	const opener = new Opener({ passphrase: process.env.PASSPHRASE, gpg: new Gpg() });
	return {
		...(await open(location, standardForms, { create: false })),
		name: describe(location),
		// Whoever opens a bare URL wants to see what is there; a collection may hold both kinds.
		encrypted: false,
		opener,
		warnings: [],
		details: [],
		verbosity: null,
	};
}

async function open(
	location: TargetLocation,
	nameForms: NameForms,
	{ cache, ...options }: OpenOptions & { cache?: string },
): Promise<Pick<Access, 'target' | 'nameForms' | 'cacheDir'>> {
	const cacheDir = await cacheDirectory(join('collections', collectionId(location, nameForms)), cache);
	const createOnlyRefused = join(cacheDir, 'create-only-refused');
	const where = holdsSlash(nameForms) ? deepened(location) : location;
	const target = await openTarget(where, { ...options, createOnlyRefused });
	return { target: traced(target), nameForms, cacheDir };
}

function deepened(location: TargetLocation): TargetLocation {
	if (location.kind === 's3') return { ...location, deep: true };
	throw new UsageError('A --file-prefix with a slash in DUPL_PARAMS works on S3 only, as in duplicity');
}

/** Prefixes part the collections of one target; without them the id is that of the URL alone. */
function collectionId(location: TargetLocation, forms: NameForms): string {
	const hash = createHash('sha256').update(describe(location));
	const standard = isDeepStrictEqual(forms, standardForms);
	if (!standard) hash.update(`\n${JSON.stringify(forms)}`);
	return hash.digest('hex').slice(0, 16);
}

/** With TSDUP_TRACE set, every request to the target is a line of JSON in the file it names. */
function traced(target: Target): Target {
	const file = process.env.TSDUP_TRACE;
	if (!file) return target;
	return new RecordingTarget(target, (request) => appendFileSync(file, `${JSON.stringify(request)}\n`));
}

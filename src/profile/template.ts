/**
 * What `tsdup create` puts into a new profile. The variables and placeholders are duply's, so that duply can work
 * with the profile too, and both refuse it until it was edited.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { UsageError } from '../errors.js';
import { placeholders } from './conf.js';

/** What is known of a new profile; what is left out stays a placeholder or an example. */
export interface Answers {
	/** An absolute path. */
	readonly source: string;
	/** A URL that parseTargetUrl takes, without credentials. */
	readonly target: string;
	/** `https://host[:port]` */
	readonly endpoint?: string;
	readonly region?: string;
	/** duplicity's option for it: `--s3-use-ia`. */
	readonly storageClass?: string;
	readonly accessKey?: string;
	readonly secretKey?: string;
	readonly passphrase: string;
}

function confOf(answers?: Answers): string {
	return `# A tsdup profile: shell code, sourced by bash. duply can use it as well.
# Lines that begin with # are examples; take the # away to use them.

# What to back up, an absolute path. The file "exclude" beside this one leaves things out.
SOURCE=${quoted(answers?.source ?? placeholders.SOURCE)}

# Where to put it, for instance
#   s3:///bucket/prefix               Amazon S3 (for duplicity 0.8: boto3+s3://bucket/prefix)
#   s3://host:port/bucket/prefix      another S3 store
#   file:///mnt/disk/backup           a folder
TARGET=${quoted(answers?.target ?? placeholders.TARGET)}

# Credentials for S3. Without them: ~/.aws, the environment, or the machine's role.
${exported('AWS_ACCESS_KEY_ID', answers?.accessKey)}
${exported('AWS_SECRET_ACCESS_KEY', answers?.secretKey)}
# On Amazon, the bucket's region; elsewhere, the provider's address.
${parameter('--s3-region-name', answers?.region, 'eu-central-1')}
${parameter('--s3-endpoint-url', answers?.endpoint, 'https://s3.example.com')}
# Storage class. Without a line: the bucket's own. With --s3-use-ia storing costs half, but reading costs, and each object at least
# 30 days. What --s3-use-glacier stores must be thawed for hours before it can be read.
${parameter(answers?.storageClass ?? '--s3-use-ia', answers?.storageClass && '', '')}

# Encryption with a passphrase. Keep a copy elsewhere: without it the backup cannot be read.
GPG_PW=${quoted(answers?.passphrase ?? placeholders.GPG_PW)}
# Or with GnuPG keys, ids separated by commas; GPG_PW is then the passphrase of the secret key.
#GPG_KEY='0123456789ABCDEF'
# Or none at all.
#GPG_KEY='disabled'

# A new full backup when the last one is older than this; an increment otherwise.
MAX_FULLBKP_AGE=1M
DUPL_PARAMS="$DUPL_PARAMS --full-if-older-than $MAX_FULLBKP_AGE"

# Size of a volume in megabytes.
VOLSIZE=200
DUPL_PARAMS="$DUPL_PARAMS --volsize $VOLSIZE"

# What the purge commands delete: backups older than this,
#MAX_AGE=6M
# all but this many full backups with their increments,
#MAX_FULL_BACKUPS=6
# the increments of all but this many full backups.
#MAX_FULLS_WITH_INCRS=2
`;
}

function exported(name: string, value: string | undefined): string {
	return value === undefined ? `#export ${name}='...'` : `export ${name}=${quoted(value)}`;
}

/** @param value of the option; undefined: the line is an example */
function parameter(option: string, value: string | undefined, example: string): string {
	const line = `DUPL_PARAMS="$DUPL_PARAMS ${`${option} ${value ?? example}`.trim()}"`;
	return value === undefined ? `#${line}` : line;
}

function quoted(value = ''): string {
	return `'${value.replaceAll("'", "'\\''")}'`;
}

const exclude = `# What not to back up: one pattern per line, first match wins, the rest is included.
# Patterns begin with SOURCE or with **
#   - **/.cache
#   + /home/me/tmp/keep
#   - /home/me/tmp
`;

/**
 * Makes a profile folder (0700) with a conf and an exclude file (0600).
 * @param dir see newProfileDir
 * @param answers without them the conf has to be edited before it can be used
 * @throws UsageError when there is something already, which is left untouched
 */
export async function createProfile(dir: string, answers?: Answers): Promise<void> {
	const absolute = resolve(dir);
	await mkdir(dirname(absolute), { recursive: true, mode: 0o700 });
	await mkdir(absolute, { mode: 0o700 }).catch((cause: NodeJS.ErrnoException) => {
		if (cause.code !== 'EEXIST') throw cause;
		throw new UsageError(
			`${absolute} exists already; choose another name, or edit ${join(absolute, 'conf')}`,
			{ cause },
		);
	});
	try {
		await writeFile(join(absolute, 'conf'), confOf(answers), { mode: 0o600, flag: 'wx' });
		await writeFile(join(absolute, 'exclude'), exclude, { mode: 0o600, flag: 'wx' });
	} catch (error) {
		await rm(absolute, { recursive: true, force: true });
		throw error;
	}
}

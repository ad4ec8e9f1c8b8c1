/**
 * A profile's conf: duply's variables, what they are set to, and what is wrong with them. Every command reads it
 * first; protection.ts and params.ts say what the values mean.
 */
import { isUtf8 } from 'node:buffer';
import { access, chmod, constants, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { UsageError } from '../errors.js';
import { sourceConf } from './bash.js';
import { profileName } from './find.js';

const variableNames = [
	'TARGET',
	'TARGET_USER',
	'TARGET_PASS',
	'SOURCE',
	'GPG_KEY',
	'GPG_KEYS_ENC',
	'GPG_KEY_SIGN',
	'GPG_PW',
	'GPG_PW_SIGN',
	'GPG',
	'GPG_OPTS',
	'GPG_TEST',
	'GPG_IMPORT',
	'GPG_EXPORT',
	'PYTHON',
	'DUPL_PRECMD',
	'MAX_AGE',
	'MAX_FULL_BACKUPS',
	'MAX_FULLS_WITH_INCRS',
	'MAX_FULLBKP_AGE',
	'VOLSIZE',
	'VERBOSITY',
	'TEMP_DIR',
	'ARCH_DIR',
] as const;

export type ConfVariable = (typeof variableNames)[number];

export interface Conf {
	/** The profile's folder, absolute. */
	readonly dir: string;
	/** The profile's name. */
	readonly name: string;
	/** TARGET as written, which may hold a user and password: not for messages. */
	readonly target: string;
	/** SOURCE; null when it is not set, which is enough to read a backup. */
	readonly source: Buffer | null;
	/** Variables that are set, also to nothing; from the conf or inherited from the environment. */
	readonly values: Readonly<Partial<Record<ConfVariable, string>>>;
	/** The words of DUPL_PARAMS, see params.ts. */
	readonly parameters: readonly Buffer[];
	/** What the conf exported or changed, to be laid over process.env: AWS_*, GNUPGHOME, proxies …. */
	readonly environment: Readonly<Record<string, string>>;
	/** One sentence each, for the log. */
	readonly warnings: readonly string[];
	/** As `warnings`, for who wants to know everything. */
	readonly details: readonly string[];
}

/** They say how duply runs duplicity and tests gpg: here are neither. Nothing decrypted is put into files. */
const withoutMeaning: readonly ConfVariable[] = ['PYTHON', 'DUPL_PRECMD', 'GPG_TEST', 'TEMP_DIR'];

/** duply's own, so that duply refuses an unedited profile as well. */
export const placeholders: Readonly<Partial<Record<ConfVariable, string>>> = {
	TARGET: 'scheme://user[:password]@host[:port]/[/]path',
	TARGET_USER: '_backend_username_',
	TARGET_PASS: '_backend_password_',
	SOURCE: '/path/of/source',
	GPG_KEY: '_KEY_ID_',
	GPG_PW: '_GPG_PASSWORD_',
};

/** What bash sets itself, and what stands in `values`: a passphrase is nothing for other programs to inherit. */
const notExported = new Set<string>(['SHLVL', 'PWD', 'OLDPWD', '_', ...variableNames]);

/**
 * Reads the conf of a profile and closes the profile's folder to others, as duply does.
 * @param dir see findProfile
 * @throws UsageError when there is no conf, bash cannot read it, or it was not edited yet
 */
export async function readConf(dir: string): Promise<Conf> {
	const absolute = resolve(dir);
	const conf = join(absolute, 'conf');
	const name = profileName(absolute);
	await access(conf, constants.R_OK).catch((cause: unknown) => {
		throw new UsageError(`${conf} cannot be read; is ${absolute} a profile? Create one with: tsdup create`, {
			cause,
		});
	});
	const warnings = await secure(absolute);
	const sourced = await sourceConf(conf, absolute, name, [...variableNames, 'TARGET_PW']);
	if (sourced.complaints !== '') warnings.push(`while reading ${conf}: ${sourced.complaints}`);

	const values: Partial<Record<ConfVariable, string>> = {};
	for (const variable of variableNames) {
		const value = sourced.variables.get(variable);
		if (value !== undefined && variable !== 'SOURCE') values[variable] = text(value, variable, conf);
	}
	// duply's older name, which it prefers silently.
	const legacyPassword = sourced.variables.get('TARGET_PW');
	if (legacyPassword !== undefined) values.TARGET_PASS = text(legacyPassword, 'TARGET_PW', conf);
	const source = sourced.variables.get('SOURCE') ?? Buffer.alloc(0);
	checkEdited({ ...values, SOURCE: source.toString('latin1') }, conf);
	if (!values.TARGET) throw new UsageError(`TARGET is not set in ${conf}; set it to the URL of the backup`);

	return {
		dir: absolute,
		name,
		target: values.TARGET,
		source: source.length > 0 ? source : null,
		values,
		parameters: sourced.parameters,
		environment: changed(sourced.exported, conf),
		warnings,
		details: detailsOf(values),
	};
}

function detailsOf(values: Conf['values']): string[] {
	const ignored = withoutMeaning.filter((variable) => values[variable]);
	return ignored.length === 0
		? []
		: [`These variables of the profile mean nothing here: ${ignored.join(', ')}`];
}

/** A passphrase that is not UTF-8 would be altered on its way and lock duplicity out. */
function text(value: Buffer, variable: string, conf: string): string {
	if (isUtf8(value)) return value.toString();
	throw new UsageError(`${variable} in ${conf} is not UTF-8; write it in UTF-8`);
}

/** A GPG_PW that was left alone does no harm beside keys: duply never needs it then. */
function checkEdited(values: Partial<Record<ConfVariable, string>>, conf: string): void {
	const withKeys = Boolean(values.GPG_KEY || values.GPG_KEYS_ENC);
	const unedited = variableNames.filter(
		(variable) =>
			placeholders[variable] !== undefined &&
			values[variable] === placeholders[variable] &&
			!(variable === 'GPG_PW' && withKeys),
	);
	if (unedited.length === 0) return;
	throw new UsageError(`edit ${conf}: ${unedited.join(', ')} still hold what the new profile came with`);
}

function changed(exported: ReadonlyMap<string, Buffer>, conf: string): Record<string, string> {
	const environment: Record<string, string> = {};
	for (const [variable, value] of exported) {
		if (notExported.has(variable) || value.toString() === process.env[variable]) continue;
		environment[variable] = text(value, variable, conf);
	}
	return environment;
}

/** @returns warnings */
async function secure(dir: string): Promise<string[]> {
	const { mode } = await stat(dir);
	if ((mode & 0o077) === 0) return [];
	try {
		await chmod(dir, 0o700);
		return [`${dir} was open to other users of this machine; its mode is 0700 now`];
	} catch {
		return [`${dir} is open to other users of this machine; its owner should run: chmod 700 ${dir}`];
	}
}

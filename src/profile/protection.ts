/**
 * How a profile's backups are encrypted, by duply's rules: keys when there are any, else the passphrase.
 */
import { UsageError } from '../errors.js';
import { type Conf, placeholders } from './conf.js';
import type { DuplicityParameters } from './params.js';

export type Protection =
	| {
			readonly kind: 'none';
			/** Set when nobody asked for it in words. */
			readonly warning: string | null;
	  }
	| { readonly kind: 'passphrase'; readonly passphrase: string }
	| {
			readonly kind: 'keys';
			/** Key ids, fingerprints or user ids, as written; never empty. */
			readonly recipients: readonly string[];
			/** Of the secret keys; absent when an agent has them, or they have none. */
			readonly passphrase?: string;
	  };

/**
 * @throws UsageError when GPG_PW is needed and empty: it often comes from a command that failed, and that must
 * not turn encryption off
 */
export function protectionOf(conf: Conf, parameters: DuplicityParameters): Protection {
	const {
		GPG_KEY: key = '',
		GPG_KEYS_ENC: more = '',
		GPG_KEY_SIGN: signKey = '',
		GPG_PW: password,
	} = conf.values;
	if (!parameters.encryption || key.toLowerCase() === 'disabled') return { kind: 'none', warning: null };
	const recipients = [...splitKeys(key), ...splitKeys(more)];
	if (recipients.length > 0) {
		const own = password && password !== placeholders.GPG_PW ? password : undefined;
		return { kind: 'keys', recipients, ...(own === undefined ? {} : { passphrase: own }) };
	}
	if (password) return { kind: 'passphrase', passphrase: password };
	if (password === undefined && signKey === '') {
		return {
			kind: 'none',
			warning: `backups of ${conf.name} are not encrypted: set GPG_KEY or GPG_PW in ${conf.dir}/conf, or GPG_KEY='disabled' if that is meant`,
		};
	}
	throw new UsageError(
		`GPG_PW is ${password === undefined ? 'not set' : 'empty'} and there is no key to encrypt to; set GPG_PW or GPG_KEY in ${conf.dir}/conf, or GPG_KEY='disabled' for no encryption`,
	);
}

/** A comma separates; `\,` is a comma in a user id. */
function splitKeys(list: string): string[] {
	return list
		.split(/(?<!\\),/)
		.map((key) => key.replaceAll('\\,', ',').trim())
		.filter((key) => key !== '');
}

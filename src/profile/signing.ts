/** Which key signs a profile's backups, by duply's rules. */
import { type Conf, placeholders } from './conf.js';
import type { Protection } from './protection.js';

export interface SigningKey {
	/** Key id, fingerprint or user id, as written. */
	readonly id: string;
	/** Nobody named it: it signs if its secret key is there. */
	readonly ifPresent: boolean;
	/** Of the secret key; absent when an agent has it, or there is none. */
	readonly passphrase?: string;
}

/** GPG_KEY_SIGN, or else the first key that backups are encrypted to. Nothing signs what is not encrypted. */
export function signingKeyOf(conf: Conf, protection: Protection): SigningKey | null {
	if (protection.kind === 'none') return null;
	const { GPG_KEY_SIGN: named, GPG_PW: password, GPG_PW_SIGN: signPassword } = conf.values;
	if (named?.toLowerCase() === 'disabled') return null;
	const first = protection.kind === 'keys' ? protection.recipients[0] : undefined;
	const id = named || first;
	if (id === undefined) return null;
	const passphrase = signPassword ?? (password === placeholders.GPG_PW ? undefined : password);
	return { id: id.trim(), ifPresent: !named, ...(passphrase ? { passphrase } : {}) };
}

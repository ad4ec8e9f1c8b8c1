/**
 * What a profile's DUPL_PARAMS say about the names of objects. duplicity reads its names only with the very options
 * they were written with; short and old names need none to be read.
 */
import { UsageError } from '../errors.js';

/** What stands in the names of a collection's objects besides the standard words. */
export interface NameForms {
	/** In front of every name. */
	readonly prefix: string;
	/** Each comes after `prefix`. On S3 all may hold slashes. */
	readonly manifestPrefix: string;
	/** Of volumes. */
	readonly archivePrefix: string;
	/** Of sigtars. */
	readonly signaturePrefix: string;
	readonly jsonstatPrefix: string;
	/** One character, between hours, minutes and seconds in old names. */
	readonly timeSeparator: string;
}

export const standardForms: NameForms = {
	prefix: '',
	manifestPrefix: '',
	archivePrefix: '',
	signaturePrefix: '',
	jsonstatPrefix: '',
	timeSeparator: ':',
};

/** The options with a value, and what each sets. */
const settings: Readonly<Record<string, keyof NameForms>> = {
	'--file-prefix': 'prefix',
	'--file-prefix-manifest': 'manifestPrefix',
	'--file-prefix-archive': 'archivePrefix',
	'--file-prefix-signature': 'signaturePrefix',
	'--file-prefix-jsonstat': 'jsonstatPrefix',
	'--time-separator': 'timeSeparator',
};

export const nameValues: readonly string[] = Object.keys(settings);
export const nameFlags: readonly string[] = ['--short-filenames', '--old-filenames'];

/**
 * @param values of the options given
 * @throws UsageError for a separator that duplicity does not take either
 */
export function nameForms(values: ReadonlyMap<string, string>): NameForms {
	const given: Partial<Record<keyof NameForms, string>> = {};
	for (const [option, form] of Object.entries(settings)) {
		const value = values.get(option);
		if (value !== undefined) given[form] = value;
	}
	const { timeSeparator } = given;
	if (timeSeparator !== undefined && (timeSeparator.length !== 1 || timeSeparator === '-')) {
		throw new UsageError('--time-separator in DUPL_PARAMS must be one character, and not a dash');
	}
	return { ...standardForms, ...given };
}

/** @returns the first option that makes duplicity write other names than the standard ones; null when none does */
export function nonStandardOption(
	flags: ReadonlySet<string>,
	values: ReadonlyMap<string, string>,
): string | null {
	const changed = (option: string) => {
		const value = values.get(option);
		return value !== undefined && value !== standardForms[settings[option] as keyof NameForms];
	};
	return nameFlags.find((flag) => flags.has(flag)) ?? nameValues.find(changed) ?? null;
}

/** Whether names may hold slashes, so that objects lie below the target's own level. */
export function holdsSlash({ timeSeparator: _, ...prefixes }: NameForms): boolean {
	return Object.values(prefixes).some((prefix) => prefix.includes('/'));
}

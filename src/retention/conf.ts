/** The rules that a profile's conf, or an argument in its place, asks for: duply's variables for its purge commands. */
import { parseTime } from '../collection/times.js';
import { UsageError } from '../errors.js';
import type { Conf, ConfVariable } from '../profile/conf.js';
import type { Rule } from './rules.js';

export type PurgeCommand = 'purge' | 'purge-full' | 'purge-incr';

/** In the order in which `purge-auto` applies them. */
const VARIABLES: Readonly<Record<PurgeCommand, ConfVariable>> = {
	purge: 'MAX_AGE',
	'purge-full': 'MAX_FULL_BACKUPS',
	'purge-incr': 'MAX_FULLS_WITH_INCRS',
};

/**
 * @param argument what stands behind the profile; the conf's variable counts where it is absent or empty
 * @param now seconds
 * @throws UsageError when there is neither, or it is no age or number
 */
export function ruleOf(command: PurgeCommand, argument: string | undefined, conf: Conf, now: number): Rule {
	const variable = VARIABLES[command];
	const value = argument || conf.values[variable];
	if (!value) {
		const what = command === 'purge' ? 'an age, such as 6M' : 'a number';
		throw new UsageError(
			`What is to be kept? Set ${variable} in ${conf.dir}/conf, or give ${what} behind the profile.`,
		);
	}
	if (command === 'purge') return { kind: 'age', before: parseTime(value, now) };
	if (!/^0*[1-9]\d{0,8}$/.test(value)) {
		const where = argument ? '' : `${variable} in ${conf.dir}/conf: `;
		throw new UsageError(
			`${where}"${value}" is not a number of full backups to keep; it must be at least 1.`,
		);
	}
	return { kind: command === 'purge-full' ? 'fulls' : 'increments', keep: Number(value) };
}

/** The rules of all variables that are set. @throws UsageError when none is */
export function autoRules(conf: Conf, now: number): Rule[] {
	const commands = (Object.keys(VARIABLES) as PurgeCommand[]).filter(
		(command) => conf.values[VARIABLES[command]],
	);
	if (commands.length === 0) {
		throw new UsageError(
			`Nothing says what is to be kept: set ${Object.values(VARIABLES).join(', ')} or some of them in ${conf.dir}/conf.`,
		);
	}
	return commands.map((command) => ruleOf(command, undefined, conf, now));
}

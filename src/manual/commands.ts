/**
 * What the program's commands, arguments and options are, as plain data: the one source of the man pages and of the
 * shells' completions. Read from commander's definitions, so that neither can lag behind them.
 */
import type { Command, Option } from 'commander';

/** What a word on the command line is: a kind that the shells can list, `none`, or one of some words. */
export type Kind = 'profile' | 'directory' | 'file' | 'none' | readonly string[];

export interface OptionModel {
	/** `-p`; absent without one. */
	readonly short?: string;
	/** `--profile`; absent without one. */
	readonly long?: string;
	/** The name of its value; absent when it takes none. */
	readonly value?: string;
	readonly kind: Kind;
	readonly description: string;
}

export interface ArgumentModel {
	readonly name: string;
	readonly required: boolean;
	readonly variadic: boolean;
	readonly kind: Kind;
}

export interface CommandModel {
	/** `['index', 'rebuild']`; empty for the program itself. */
	readonly path: readonly string[];
	readonly description: string;
	readonly arguments: readonly ArgumentModel[];
	/** Its own; those of the program are valid everywhere. */
	readonly options: readonly OptionModel[];
	readonly commands: readonly CommandModel[];
}

/** By the names of arguments and of options' values. */
const kinds: Readonly<Record<string, Kind>> = {
	profile: 'profile',
	mountpoint: 'directory',
	destination: 'file',
	file: 'file',
	time: ['now', '1D', '7D', '1M'],
};

/** A program or command, with all below it; without `help` and what is hidden. */
export function commandModel(command: Command, path: readonly string[] = []): CommandModel {
	const help = command.createHelp();
	// --help is valid everywhere, as are the program's.
	const options = help.visibleOptions(command).filter(({ long }) => path.length === 0 || long !== '--help');
	const commands = help.visibleCommands(command).filter((each) => each.name() !== 'help');
	return {
		path,
		description: command.description(),
		arguments: command.registeredArguments.map((argument) => ({
			name: argument.name(),
			required: argument.required,
			variadic: argument.variadic,
			kind: argument.argChoices ?? kinds[argument.name()] ?? 'none',
		})),
		options: options.map(optionModel),
		commands: commands.map((each) => commandModel(each, [...path, each.name()])),
	};
}

function optionModel(option: Option): OptionModel {
	const value = /[<[]([^\]>]+)[\]>]/.exec(option.flags)?.[1];
	const choices = option.argChoices ? ` (${option.argChoices.join(', ')})` : '';
	const fallback = typeof option.defaultValue === 'string' ? `; default: ${option.defaultValue}` : '';
	return {
		...(option.short === undefined ? {} : { short: option.short }),
		...(option.long === undefined ? {} : { long: option.long }),
		...(value === undefined ? {} : { value }),
		kind: option.argChoices ?? (value === undefined ? 'none' : (kinds[value] ?? 'none')),
		description: `${option.description}${choices}${fallback}`,
	};
}

/** A command and all below it, in order. */
export function allCommands(model: CommandModel): CommandModel[] {
	return [model, ...model.commands.flatMap(allCommands)];
}

/** Both forms of an option, or the one it has. */
export function optionNames({ short, long }: OptionModel): string[] {
	return [short, long].filter((name) => name !== undefined);
}

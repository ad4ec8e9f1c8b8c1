/**
 * Man pages in roff's man(7) macros: one for the program, one for each of its commands. What commander knows comes from
 * the model, the rest from the prose.
 */
import { type ArgumentModel, allCommands, type CommandModel, type OptionModel } from './commands.js';
import type { Page } from './page.js';
import { pages } from './prose.js';

export interface Edition {
	readonly version: string;
	/** `2026-11-24` */
	readonly date: string;
	readonly exitCodes: readonly (readonly [code: number, meaning: string])[];
}

/** @returns file names, as `tsdup-backup.1`, and what they hold */
export function manPages(program: CommandModel, edition: Edition): Map<string, string> {
	const found = new Map([['tsdup.1', programPage(program, edition)]]);
	for (const command of program.commands) found.set(`${pageName(command)}.1`, commandPage(command, edition));
	return found;
}

function programPage(program: CommandModel, edition: Edition): string {
	const page = pages[''];
	const commands = program.commands.map(
		(command) => `.TP\n.BR ${escaped(pageName(command))} (1)\n${lines(sentence(command.description))}`,
	);
	const codes = edition.exitCodes.map(([code, meaning]) => `.TP\n.B ${code}\n${lines(meaning)}`);
	return [
		head('TSDUP', 'tsdup', program.description, edition),
		'.SH SYNOPSIS\n.B tsdup\n.RI [ options ]\n.I command\n.RI [ arguments ]',
		section('DESCRIPTION', page?.description),
		`.SH COMMANDS\n${commands.join('\n')}`,
		`.SH OPTIONS\nThey are valid before and after any command.\n${program.options.map(optionEntry).join('\n')}`,
		`.SH EXIT STATUS\n${codes.join('\n')}`,
		...rest(page),
	].join('\n');
}

function commandPage(command: CommandModel, edition: Edition): string {
	const name = pageName(command);
	const page = pages[command.path.join(' ')];
	const leaves = allCommands(command).filter(({ commands }) => commands.length === 0);
	const options = leaves.flatMap((leaf) => leaf.options);
	const below = leaves.length > 1 || leaves[0] !== command;
	return [
		head(name.toUpperCase(), name, command.description, edition),
		`.SH SYNOPSIS\n${leaves.map(synopsis).join('\n.br\n')}`,
		section('DESCRIPTION', page?.description ?? [sentence(command.description)]),
		...(below ? [leaves.map(leafEntry).join('\n')] : []),
		'.SH OPTIONS',
		...options.map(optionEntry),
		...(options.length > 0 ? ['.PP'] : []),
		'The options of\n.BR tsdup (1)\nare valid, too.',
		'.SH EXIT STATUS\nSee\n.BR tsdup (1).',
		...rest(page, ['tsdup']),
	].join('\n');
}

function head(title: string, name: string, description: string, { date, version }: Edition): string {
	return (
		`.TH ${escaped(title)} 1 "${date}" "tsdup ${version}" "User Commands"\n` +
		`.SH NAME\n${lines(`${name} \\- ${description.replace(/\.$/, '')}`)}`
	);
}

function pageName({ path }: CommandModel): string {
	return ['tsdup', ...path].join('-');
}

function synopsis(command: CommandModel): string {
	const options = command.options.length > 0 ? '\n.RI [ options ]' : '';
	return `.B tsdup ${command.path.join(' ')}${options}${command.arguments.map(argumentWord).join('')}`;
}

function argumentWord({ name, required, variadic }: ArgumentModel): string {
	const dots = variadic ? '...' : '';
	return required ? `\n.I ${escaped(name)}${dots}` : `\n.RI [ ${escaped(name)} ]${dots}`;
}

function leafEntry({ path, description }: CommandModel): string {
	return `.TP\n.B tsdup ${path.join(' ')}\n${lines(sentence(description))}`;
}

function optionEntry({ short, long, value, description }: OptionModel): string {
	const names = [short, long].filter((name) => name !== undefined).map((name) => `\\fB${escaped(name)}\\fR`);
	const word = value === undefined ? '' : ` \\fI${escaped(value)}\\fR`;
	return `.TP\n${names.join(', ')}${word}\n${lines(sentence(description))}`;
}

function rest(page: Page | undefined, more: readonly string[] = []): string[] {
	const examples = (page?.examples ?? []).map(
		([command, meaning]) => `.TP\n.B ${escaped(command)}\n${lines(meaning)}`,
	);
	const also = [...more, ...(page?.seeAlso ?? [])].map((name) => {
		const [, stem = name, number = '1'] = /^(.*)\((\d)\)$/.exec(name) ?? [];
		return `.BR ${escaped(stem)} (${number})`;
	});
	return [
		...(examples.length > 0 ? [`.SH EXAMPLES\n${examples.join('\n')}`] : []),
		...(page?.files ? [`.SH FILES\n${page.files.map(fileEntry).join('\n')}`] : []),
		...(also.length > 0 ? [`.SH SEE ALSO\n${also.join(' ,\n')}`] : []),
		'',
	];
}

function fileEntry([path, meaning]: readonly [string, string]): string {
	return `.TP\n.I ${escaped(path)}\n${lines(meaning)}`;
}

function section(title: string, paragraphs: readonly string[] = []): string {
	return `.SH ${title}\n${paragraphs.map(lines).join('\n.PP\n')}`;
}

/** Each sentence begins a line, as roff wants it; no line is longer than 80 bytes, and none is taken for a request. */
function lines(text: string): string {
	const wrapped: string[] = [];
	for (const sentence of text.split(/(?<=[.:;!?]) (?=[A-Z])/)) {
		let line = '';
		for (const word of sentence.split(' ').map(escaped)) {
			if (line !== '' && line.length + word.length > 78) {
				wrapped.push(line);
				line = '';
			}
			line += line === '' ? word : ` ${word}`;
		}
		wrapped.push(line);
	}
	return wrapped.map((line) => (/^[.']/.test(line) ? `\\&${line}` : line)).join('\n');
}

function sentence(text: string): string {
	const [first = '', ...others] = text;
	return `${first.toUpperCase()}${others.join('')}${/[.!?]$/.test(text) ? '' : '.'}`;
}

/** A plain hyphen, so that what is copied from a page can be typed. */
function escaped(text: string): string {
	return text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll('…', '...').replaceAll('’', "'");
}

/** Completion for fish: one `complete` line for each command, option and argument. */
import { allCommands, type CommandModel, type Kind, type OptionModel } from './commands.js';

export function fishCompletion(program: CommandModel): string {
	const valued = allCommands(program).flatMap(({ options }) => options.filter(({ value }) => value));
	const names = valued.flatMap(({ short, long }) => [short, long].filter((name) => name !== undefined));
	return `# fish completion of tsdup: tsdup completion fish >~/.config/fish/completions/tsdup.fish

function __tsdup_profiles
	for place in $TSDUP_PROFILES ~/.tsdup /etc/tsdup ~/.duply /etc/duply
		for conf in $place/*/conf
			basename (dirname $conf)
		end
	end
end

# Whether the words before the cursor, without options, are the command $argv[2..] and $argv[1] arguments; -1: any number.
function __tsdup_at
	set -l words
	set -l skip 0
	for word in (commandline -opc)[2..]
		if test $skip = 1
			set skip 0
		else if contains -- $word ${[...new Set(names)].join(' ')}
			set skip 1
		else if not string match -q -- '-*' $word
			set -a words $word
		end
	end
	set -l command $argv[2..]
	set -l length (count $command)
	if test $length -gt 0
		test (count $words) -ge $length; and test "$words[1..$length]" = "$command"; or return 1
	end
	test $argv[1] = -1; or test (count $words) -eq (math $length + $argv[1])
end

complete -c tsdup -f
${allCommands(program)
	.flatMap((command) => lines(command))
	.join('\n')}
`;
}

function lines(command: CommandModel): string[] {
	const at = (position: number) =>
		`complete -c tsdup -n '__tsdup_at ${[position, ...command.path].join(' ')}'`;
	return [
		...command.commands.map(({ path, description }) => `${at(0)} -a ${path.at(-1)} -d ${quote(description)}`),
		...command.options.map((option) => `${at(-1)}${optionWords(option)} -d ${quote(option.description)}`),
		...command.arguments.map(({ kind, variadic }, i) => `${at(variadic ? -1 : i)}${words(kind)}`),
	];
}

function optionWords({ short, long, value, kind }: OptionModel): string {
	const names = `${short ? ` -s ${short.slice(1)}` : ''}${long ? ` -l ${long.slice(2)}` : ''}`;
	return value === undefined ? names : `${names} ${kind === 'file' ? '-r' : '-x'}${words(kind)}`;
}

function words(kind: Kind): string {
	if (typeof kind !== 'string') return ` -a ${quote(kind.join(' '))}`;
	return {
		profile: " -a '(__tsdup_profiles)'",
		directory: " -a '(__fish_complete_directories)'",
		file: ' -F',
		none: '',
	}[kind];
}

function quote(text: string): string {
	return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

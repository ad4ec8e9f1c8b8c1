/** Completion for zsh: one function for each command, in the words of `_arguments`. */
import { allCommands, type CommandModel, type Kind, type OptionModel, optionNames } from './commands.js';

export function zshCompletion(program: CommandModel): string {
	return `#compdef tsdup
# zsh completion of tsdup. In ~/.zshrc, after compinit: source <(tsdup completion zsh)

_tsdup_profiles() {
	local place
	for place in $TSDUP_PROFILES ~/.tsdup /etc/tsdup ~/.duply /etc/duply; do
		compadd -- $place/*/conf(N:h:t)
	done
}

${allCommands(program)
	.map((command) => commandFunction(command, program.options))
	.join('\n')}
compdef _tsdup tsdup
`;
}

function commandFunction(command: CommandModel, everywhere: readonly OptionModel[]): string {
	const options = command.path.length === 0 ? everywhere : [...command.options, ...everywhere];
	const known = new Set<string>();
	const specs = options.flatMap((option) => {
		const names = optionNames(option).filter((name) => !known.has(name));
		for (const name of names) known.add(name);
		return names.map((name) => quote(`*${name}[${escaped(option.description)}]${valueSpec(option)}`));
	});
	const name = functionName(command.path);
	if (command.commands.length === 0) {
		const positions = command.arguments.map((argument, i) => {
			const at = argument.variadic ? '*' : `${i + 1}`;
			return quote(`${at}:${argument.name}:${action(argument.kind)}`);
		});
		return `${name}() {\n\t_arguments ${[...specs, ...positions].join(' \\\n\t\t')}\n}\n`;
	}
	const described = command.commands.map(({ path, description }) =>
		quote(`${escaped(path.at(-1) as string)}:${description}`),
	);
	const cases = command.commands.map(({ path }) => `\t\t${path.at(-1)}) ${functionName(path)} ;;`);
	return `${name}() {
	local state
	local -a commands
	commands=(
		${described.join('\n\t\t')}
	)
	_arguments -C ${specs.join(' \\\n\t\t')} \\
		'1: :->command' '*:: :->arguments'
	case $state in
	command) _describe command commands ;;
	arguments)
		case $words[1] in
${cases.join('\n')}
		esac
		;;
	esac
}
`;
}

function functionName(path: readonly string[]): string {
	return ['_tsdup', ...path].join('_');
}

function valueSpec({ value, kind }: OptionModel): string {
	return value === undefined ? '' : `:${value}:${action(kind)}`;
}

function action(kind: Kind): string {
	if (typeof kind !== 'string') return `(${kind.join(' ')})`;
	return { profile: '_tsdup_profiles', directory: '_files -/', file: '_files', none: ' ' }[kind];
}

/** In the words of \`_arguments\` brackets and colons have a meaning. */
function escaped(text: string): string {
	return text.replaceAll(/[[\]:\\]/g, '\\$&');
}

function quote(text: string): string {
	return `'${text.replaceAll("'", "'\\''")}'`;
}

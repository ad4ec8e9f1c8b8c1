/** Completion for bash: a table of the commands, and a function that walks the words before the cursor through it. */
import { allCommands, type CommandModel, type Kind, optionNames } from './commands.js';

export function bashCompletion(program: CommandModel): string {
	return `# bash completion of tsdup. In ~/.bashrc: source <(tsdup completion bash)

_tsdup_profiles() {
	local place conf
	for place in \${TSDUP_PROFILES:+"$TSDUP_PROFILES"} ~/.tsdup /etc/tsdup ~/.duply /etc/duply; do
		for conf in "$place"/*/conf; do
			conf=\${conf%/conf}
			[[ -e $conf/conf ]] && printf '%s\\n' "\${conf##*/}"
		done
	done
}

# Sets what may follow the command $1.
_tsdup_table() {
	case $1 in
${allCommands(program).map(tableRow).join('\n')}
	esac
}

_tsdup() {
	local current=\${COMP_WORDS[COMP_CWORD]} command='' expected='' position=0 word i
	local commands options values arguments programOptions programValues
	_tsdup_table ''
	programOptions=$options programValues=$values
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=\${COMP_WORDS[i]}
		if [[ -n $expected ]]; then
			expected=''
		elif [[ $word == -* ]]; then
			expected=" $values $programValues "
			if [[ $expected == *" $word="* ]]; then
				expected=\${expected#*" $word="} expected=\${expected%% *}
			else
				expected=''
			fi
		elif [[ " $commands " == *" $word "* ]]; then
			command+=\${command:+ }$word
			_tsdup_table "$command"
		else
			position=$((position + 1))
		fi
	done
	if [[ -z $expected && $current == -* ]]; then
		expected="$options $programOptions" expected=\${expected// /,}
	elif [[ -z $expected && -n $commands ]]; then
		expected=\${commands// /,}
	elif [[ -z $expected ]]; then
		expected=\${arguments[position]:-none}
	fi
	COMPREPLY=()
	case $expected in
	none) ;;
	directory | file)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen "-\${expected:0:1}" -- "$current")
		;;
	*)
		[[ $expected == profile ]] && expected=$(_tsdup_profiles)
		# Not by compgen -W, which would run what a folder's name says.
		while IFS= read -r word; do
			[[ -n $word && $word == "$current"* ]] && COMPREPLY+=("$word")
		done <<<"\${expected//,/$'\\n'}"
		;;
	esac
}
complete -F _tsdup tsdup
`;
}

function tableRow({ path, commands, options, arguments: list }: CommandModel): string {
	const values = options.flatMap((option) =>
		option.value === undefined ? [] : optionNames(option).map((name) => `${name}=${word(option.kind)}`),
	);
	const set = [
		`commands='${commands.map(({ path: below }) => below.at(-1)).join(' ')}'`,
		`options='${options.flatMap(optionNames).join(' ')}'`,
		`values='${values.join(' ')}'`,
		`arguments=(${list.map(({ kind }) => word(kind)).join(' ')})`,
	];
	return `\t'${path.join(' ')}') ${set.join(' ')} ;;`;
}

function word(kind: Kind): string {
	return typeof kind === 'string' ? kind : kind.join(',');
}

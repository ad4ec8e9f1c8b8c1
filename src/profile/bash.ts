/**
 * A conf is shell code, so bash reads it: sources it in a child of its own and hands the wanted variables back
 * through a pipe that the conf cannot see. Called by conf.ts only.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { TsdupError, UsageError } from '../errors.js';

export interface Sourced {
	/** The wanted variables that are set, also to nothing. Bytes: a SOURCE need not be UTF-8. */
	readonly variables: ReadonlyMap<string, Buffer>;
	/** Every exported variable after sourcing. */
	readonly exported: ReadonlyMap<string, Buffer>;
	/** DUPL_PARAMS as the shell splits it into words. */
	readonly parameters: readonly Buffer[];
	/** What the conf and its commands wrote to stderr. */
	readonly complaints: string;
}

const syntaxError = 65;
const parameterError = 66;

/**
 * $1 conf, $2 its folder, $3 the profile's name, from $4 the wanted variables. Bash's own message for an unknown
 * command quotes the word, which in `GPG_PW=two words` is half of a passphrase: hence the handler.
 */
const script = `
"$BASH" --noprofile --norc -n -- "$1" || exit ${syntaxError}
CONFDIR=$2 PROFILE=$3
command_not_found_handle() {
	builtin printf '%s: line %s: command not found (a value with blanks needs quotes)\\n' \
		"\${BASH_SOURCE[1]}" "\${BASH_LINENO[0]}" >&2
	return 127
}
source "$1" 3>&-
builtin set +eu
IFS=$' \\t\\n'
for _tsdup_name in "\${@:4}"; do
	if [[ -n "\${!_tsdup_name+set}" ]]; then
		builtin printf 'v%s=%s\\0' "$_tsdup_name" "\${!_tsdup_name}" >&3
	fi
done
for _tsdup_name in $(builtin compgen -e); do
	builtin printf 'e%s=%s\\0' "$_tsdup_name" "\${!_tsdup_name}" >&3
done
builtin eval "set -- $DUPL_PARAMS" 3>&- 2>/dev/null || builtin exit ${parameterError}
for _tsdup_name; do builtin printf 'w%s\\0' "$_tsdup_name" >&3; done
builtin printf 'end\\0' >&3
`;

/**
 * @param conf absolute path
 * @throws UsageError when bash cannot read it to its end
 */
export async function sourceConf(
	conf: string,
	dir: string,
	profile: string,
	wanted: readonly string[],
): Promise<Sourced> {
	// A non-interactive bash runs the file that BASH_ENV names, whatever its options.
	const { BASH_ENV: _bashEnv, ENV: _env, ...env } = process.env;
	const child = spawn(
		'bash',
		['--noprofile', '--norc', '-c', script, 'tsdup', conf, dir, profile, ...wanted],
		{
			stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
			env,
		},
	);
	const complaints = gather(child.stdio[2] as Readable);
	const output = gather(child.stdio[3] as Readable);
	const [code, signal] = await once(child, 'exit').catch((cause: unknown) => {
		throw new TsdupError('bash cannot be started, and a conf is shell code; install bash', { cause });
	});
	await output.closed;
	// A daemon that conf started may hold stderr open for ever; what bash said is in the pipe already.
	await Promise.race([complaints.closed, setTimeout(200, undefined, { ref: false })]);
	child.stdio[2]?.destroy();

	const said = Buffer.concat(complaints.chunks).toString().trim();
	if (code === syntaxError) throw new UsageError(describeSyntaxError(conf, said));
	if (code === parameterError) {
		throw new UsageError(`DUPL_PARAMS in ${conf} is not valid shell words; check its quotes`);
	}
	const fields = splitFields(Buffer.concat(output.chunks));
	if (fields.at(-1)?.toString() !== 'end') {
		const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
		throw new UsageError(`${conf} ended bash (${how}) before its last line${said === '' ? '' : `: ${said}`}`);
	}
	return { ...sortFields(fields), complaints: said };
}

/** Collects what a child writes; `closed` resolves when nobody can write to the stream any more. */
function gather(stream: Readable): { chunks: readonly Buffer[]; closed: Promise<void> } {
	const chunks: Buffer[] = [];
	stream.on('data', (chunk: Buffer) => chunks.push(chunk));
	return { chunks, closed: new Promise((resolve) => stream.once('close', resolve)) };
}

/** Bash quotes the faulty line, which may hold a secret; only its number is passed on. */
function describeSyntaxError(conf: string, said: string): string {
	const line = /: line (\d+): /.exec(said)?.[1];
	const where = line === undefined ? '' : ` near line ${line}`;
	return `${conf} has a syntax error${where}; see it with: bash -n ${conf}`;
}

function splitFields(bytes: Buffer): Buffer[] {
	const fields: Buffer[] = [];
	for (let start = 0; start < bytes.length; ) {
		const end = bytes.indexOf(0, start);
		if (end < 0) break;
		fields.push(bytes.subarray(start, end));
		start = end + 1;
	}
	return fields;
}

function sortFields(fields: readonly Buffer[]): Omit<Sourced, 'complaints'> {
	const variables = new Map<string, Buffer>();
	const exported = new Map<string, Buffer>();
	const parameters: Buffer[] = [];
	for (const field of fields.slice(0, -1)) {
		const rest = field.subarray(1);
		if (field[0] === 'w'.charCodeAt(0)) {
			parameters.push(rest);
			continue;
		}
		const equals = rest.indexOf('=');
		const map = field[0] === 'v'.charCodeAt(0) ? variables : exported;
		map.set(rest.subarray(0, equals).toString(), rest.subarray(equals + 1));
	}
	return { variables, exported, parameters };
}

/** What the process's exit codes say: for `--help` and the man page. */

export const exitCodes: readonly (readonly [code: number, meaning: string])[] = [
	[0, 'done'],
	[1, 'failed'],
	[2, 'wrong usage or profile'],
	[3, 'done with warnings (a source file could not be read, ...)'],
	[4, 'damage or differences found'],
	[5, 'another run holds the lock'],
	[6, 'wrong key or passphrase'],
	[7, 'target unreachable or refused'],
];

export function exitCodesHelp(): string {
	const lines = exitCodes.map(([code, meaning]) => `  ${code}  ${meaning}`);
	return `\nExit codes:\n${lines.join('\n')}\n`;
}

/** docs/benchmarks.md: what stands between two marks is replaced by the figures of this run. */
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const FILE = fileURLToPath(new URL('../../docs/benchmarks.md', import.meta.url));
const BEGIN = '<!-- measured: begin -->';
const END = '<!-- measured: end -->';

const NEW = `# Benchmarks

\`npm run bench -- --write\` measures and writes what follows.

${BEGIN}
${END}
`;

/** @param text Markdown. @returns the file's path. @throws Error when the marks are gone from the file */
export async function writeDocument(text: string): Promise<string> {
	const before = await readFile(FILE, 'utf8').catch((error: NodeJS.ErrnoException) => {
		if (error.code !== 'ENOENT') throw error;
		return NEW;
	});
	const begin = before.indexOf(BEGIN);
	const end = before.indexOf(END);
	if (begin < 0 || end < begin) throw new Error(`${FILE} has lost its marks: ${BEGIN} and ${END}.`);
	await writeFile(FILE, `${before.slice(0, begin + BEGIN.length)}\n\n${text}\n${before.slice(end)}`);
	return FILE;
}

/** Writes the man pages into build/man/man1: `npm run man`, and setup.sh after compiling. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { exitCodes } from '../build/src/cli/exit-codes.js';
import { createProgram } from '../build/src/cli/main.js';
import { commandModel } from '../build/src/manual/commands.js';
import { manPages } from '../build/src/manual/man.js';

const folder = new URL('../build/man/man1/', import.meta.url);
const program = await createProgram();
// A package is built with the time of its sources.
const epoch = process.env.SOURCE_DATE_EPOCH;
const date = (epoch ? new Date(Number(epoch) * 1000) : new Date()).toISOString().slice(0, 10);
mkdirSync(folder, { recursive: true });
for (const [name, text] of manPages(commandModel(program), { version: program.version(), date, exitCodes })) {
	writeFileSync(new URL(name, folder), text);
}

/**
 * duply's batches: commands joined into one word, as `pre+[bkp-verify]_post`. Pure; who runs them is the caller's.
 *
 *     _          the next one runs whatever happened
 *     +  and     it runs if the one that ran last succeeded
 *     -  or      it runs if the one that ran last failed
 *     [ ]  groupIn groupOut     runs, or is left out, as one
 */
import { UsageError, WARNED } from '../errors.js';
import type { Position } from './scripts.js';

type Condition = '' | 'and' | 'or';

export type Step =
	| { readonly condition: Condition; readonly word: string }
	| { readonly condition: Condition; readonly group: readonly Step[] };

/** Runs one command. @returns its exit code */
export type Execute = (word: string, position: Position) => Promise<number>;

/** What is joined differently stands for the same. */
const marks: Readonly<Record<string, string>> = { and: '+', or: '-', groupin: '[', groupout: ']' };

/**
 * @param expand words for a command that stands for several, in brackets; null for one of its own
 * @throws UsageError for a batch that cannot be read
 */
export function parseBatch(text: string, expand: (word: string) => readonly string[] | null): Step[] {
	const tokens = text
		.split(/([_+[\]\s-])/)
		.filter((token) => token.trim() !== '' && token !== '_')
		.map((token) => marks[token.toLowerCase()] ?? token);
	const stack: Step[][] = [[]];
	const conditions: Condition[] = [];
	let condition: Condition = '';
	for (const token of tokens) {
		const steps = stack.at(-1) as Step[];
		if (token === '+' || token === '-') {
			if (condition !== '' || steps.length === 0) throw unreadable(text, `"${token}" follows no command`);
			condition = token === '+' ? 'and' : 'or';
			continue;
		}
		if (token === '[') {
			stack.push([]);
			conditions.push(condition);
		} else if (token === ']') {
			const outer = stack.at(-2);
			if (!outer || steps.length === 0 || condition !== '') throw unreadable(text, '"]" closes nothing');
			stack.pop();
			outer.push({ condition: conditions.pop() as Condition, group: steps });
		} else {
			const words = expand(token);
			steps.push(
				words
					? { condition, group: words.map((word) => ({ condition: '', word })) }
					: { condition, word: token },
			);
		}
		condition = '';
	}
	const [steps = []] = stack;
	if (stack.length > 1) throw unreadable(text, 'a "[" is not closed');
	if (condition !== '' || steps.length === 0) throw unreadable(text, 'it ends where a command should follow');
	return steps;
}

/** Every command in order, whether it will run or not. */
export function wordsOf(steps: readonly Step[]): string[] {
	return steps.flatMap((step) => ('word' in step ? [step.word] : wordsOf(step.group)));
}

/** @returns the exit codes of the commands that ran, in order */
export async function runBatch(steps: readonly Step[], execute: Execute): Promise<number[]> {
	const words = wordsOf(steps);
	const conditions = conditionsOf(steps);
	const codes: number[] = [];
	let previous = 'START';
	let next = 0;
	const run = async (steps: readonly Step[]): Promise<void> => {
		for (const step of steps) {
			const last = codes.at(-1) ?? 0;
			const due = step.condition === '' || isDone(last) === (step.condition === 'and');
			if (!due) {
				next += 'word' in step ? 1 : wordsOf(step.group).length;
			} else if ('group' in step) {
				await run(step.group);
			} else {
				next++;
				const position: Position = {
					previous,
					next: words[next] ?? 'END',
					before: step.condition,
					after: conditions[next] ?? '',
					exit: codes.at(-1) ?? null,
				};
				codes.push(await execute(step.word, position));
				previous = step.word;
			}
		}
	};
	await run(steps);
	return codes;
}

/** Done, if only with warnings: what could not be read today is no reason not to delete what is old. */
export function isDone(exit: number): boolean {
	return exit === 0 || exit === WARNED;
}

/** Of each word, in order: what stands right before it, brackets left out. */
function conditionsOf(steps: readonly Step[]): Condition[] {
	return steps.flatMap((step) => {
		if ('word' in step) return [step.condition];
		const [first = '', ...others] = conditionsOf(step.group);
		return [step.condition || first, ...others];
	});
}

function unreadable(batch: string, why: string): UsageError {
	return new UsageError(`The batch "${batch}" cannot be read: ${why}.`);
}

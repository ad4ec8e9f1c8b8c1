/** Times as people write them: what duplicity's own reader makes of them, for thousands of random ones, right and wrong. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { parseTime } from '../src/collection/times.js';
import { UsageError } from '../src/errors.js';
import { random } from './seeded.js';

const NOW = 1_700_000_000;
const COUNT = 4000;
const next = random('times');

function below(limit: number): number {
	return Math.floor(next() * limit);
}

function pick<T>(items: readonly T[]): T {
	return items[below(items.length)] as T;
}

/** Of some digits, or with leading zeros. */
function number(least: number, most: number, digits = 1): string {
	return String(least + below(most - least + 1)).padStart(digits, '0');
}

function date(): string {
	const [year, month, day] = [number(1970, 2098), number(0, 13, below(3)), number(0, 32, below(3))];
	const separator = pick(['-', '/', '.']);
	return pick([
		[year, month, day].join(separator),
		[month, day, year].join(separator),
		`${year}${month}${day}Z`,
	]);
}

/** Without zones west of Greenwich that have half hours: duplicity is an hour off there. */
function instant(): string {
	const day = `${number(1970, 2098)}-${number(0, 13, 2)}-${number(0, 32, 2)}`;
	const clock = [24, 60, 60].map((limit) => number(0, limit - (below(20) > 0 ? 1 : 0), 2)).join(':');
	return `${day}T${clock}${pick(['', 'Z', '+02:00', '-03:00', '+05:45', '+0200', 'z'])}`;
}

function interval(): string {
	return Array.from(
		{ length: 1 + below(3) },
		() => number(0, 500) + pick(['s', 'm', 'h', 'D', 'W', 'M', 'Y', 'H', '']),
	).join('');
}

const forms = [
	date,
	instant,
	interval,
	() => number(0, 2_000_000_000),
	() => pick(['now', 'NOW', '', ' ', '-1D', 'D', '1 D', '1.5D']),
];
const texts = Array.from({ length: COUNT }, () => pick(forms)());

/** Seconds; null: it is refused. */
function stock(zone: string): (number | null)[] {
	const script = `import json, sys
from duplicity import dup_time
def seconds(text):
    try: return dup_time.genstrtotime(text, ${NOW})
    except Exception: return None
print(json.dumps([seconds(text) for text in json.load(sys.stdin)]))`;
	const env = { ...process.env, TZ: zone };
	return JSON.parse(
		execFileSync('/usr/bin/python3', ['-c', script], { env, input: JSON.stringify(texts), encoding: 'utf8' }),
	);
}

function ours(text: string): number | null {
	try {
		return parseTime(text, NOW);
	} catch (error) {
		assert.ok(error instanceof UsageError, text);
		return null;
	}
}

for (const zone of ['UTC', 'Asia/Tokyo', 'Asia/Kolkata', 'America/Bogota']) {
	test(`in ${zone}, which has no daylight saving, each of them is the same`, () => {
		process.env.TZ = zone;
		const theirs = stock(zone);
		assert.ok(theirs.filter((seconds) => seconds !== null).length > COUNT / 3);
		for (const [i, text] of texts.entries()) assert.equal(ours(text), theirs[i], text);
	});
}

test('in Europe/Berlin they are, but for the hour in summer that duplicity does not know', () => {
	process.env.TZ = 'Europe/Berlin';
	const theirs = stock('Europe/Berlin');
	for (const [i, text] of texts.entries()) {
		const [mine, other] = [ours(text), theirs[i] as number | null];
		if (mine === null || other === null || mine === other) assert.equal(mine, other, text);
		else assert.equal(other - mine, 3600, text);
	}
});

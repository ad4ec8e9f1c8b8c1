/**
 * Purges a profile by its MAX_AGE, and is killed before the deletion of number N, from 0, as if the store carried out the
 * deletions of a request one by one: in the order in which they were asked for, or `reversed`.
 * `node purge-then-die.js PROFILE-FOLDER N ORDER`
 */
import { openProfile } from '../src/collection/access.js';
import { ruleOf } from '../src/retention/conf.js';
import { purge } from '../src/retention/retention.js';
import type { Target } from '../src/target/target.js';

const [dir = '', number, order] = process.argv.slice(2);
const access = await openProfile(dir);
const { target: folder } = access;
let left = Number(number);

const target: Target = {
	url: folder.url,
	list: () => folder.list(),
	read: (...args) => folder.read(...args),
	stream: (name) => folder.stream(name),
	create: (name) => folder.create(name),
	unfinished: () => folder.unfinished(),
	sweep: () => folder.sweep(),
	delete: async (names) => {
		for (const name of order === 'reversed' ? names.toReversed() : names) {
			if (left-- === 0) process.kill(process.pid, 'SIGKILL');
			await folder.delete([name]);
		}
	},
};

await purge({ ...access, target, force: true }, [ruleOf('purge', undefined, access.conf, Date.now() / 1000)]);

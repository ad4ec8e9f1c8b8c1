/**
 * The life of a profile with a daily job, on an S3 server whose days pass at once: what changes in the source from day to day,
 * what each backup must hold, and which of them the conf leaves. Who runs the job is the test's.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { ListedObject } from '../src/collection/backup-set.js';
import { parseName } from '../src/collection/names.js';
import { formatSetTime, snapshotDate } from '../src/collection/times.js';
import { openTarget } from '../src/target/open.js';
import { duplicity, duply, type Ended, type Sandbox, sandbox, tsdup } from './cli.js';
import { Days } from './days.js';
import { importKeys, mount, PASSPHRASE } from './fixtures.js';
import { type Radosgw, startRadosgw } from './radosgw.js';
import { bytesFrom } from './seeded.js';
import { assertSameTree, type Comparison, describeTree, type TreeEntry } from './tree.js';

const KEY = 'BE0139F7AD67C590';
const OWNER_TRUST = '50CAE12AB6FDB81A2F748496BE0139F7AD67C590:6:\n';
const BUCKET = 'story';
/** What the exclude list leaves out of the source. */
const EXCLUDED = ['cache', 'docs/draft.bak', 'tmp/junk'];

export interface Rules {
	/** Days: the conf's MAX_FULLBKP_AGE and MAX_AGE. */
	readonly full: number;
	readonly age: number;
	/** The last day of the story, which is today. */
	readonly last: number;
}

/** A backup. */
interface Kept {
	readonly day: number;
	readonly kind: 'full' | 'inc';
	/** Seconds. */
	readonly time: number;
	readonly tree: readonly TreeEntry[];
}

export class Story {
	readonly box: Sandbox;
	readonly source: string;
	readonly rules: Rules;
	/** Those that should be on the target, oldest first. */
	kept: Kept[] = [];
	readonly #days: Days;
	readonly #server: Radosgw;

	private constructor(box: Sandbox, days: Days, server: Radosgw, rules: Rules) {
		this.box = box;
		this.source = join(box.dir, 'source');
		this.rules = rules;
		this.#days = days;
		this.#server = server;
		fs.mkdirSync(this.source);
		importKeys(box);
		execFileSync('gpg', ['--quiet', '--import-ownertrust'], { env: box.env, input: OWNER_TRUST });
	}

	static async begin(rules: Rules): Promise<Story> {
		const box = machine();
		const days = new Days(join(box.dir, 'clock'));
		days.set(rules.last);
		Object.assign(box.env, days.env);
		const server = await startRadosgw(days.env);
		await server.createBucket(BUCKET);
		return new Story(box, days, server, rules);
	}

	/** What a user does with a new profile: edits its conf, writes the exclude list and two scripts. */
	edit(profile: string): void {
		const conf = join(profile, 'conf');
		const { accessKeyId, secretAccessKey, endpoint } = this.#server;
		const values = {
			SOURCE: `'${this.source}'`,
			TARGET: `'boto3+s3://${BUCKET}/of/home'`,
			GPG_KEY: `'${KEY}'`,
			GPG_PW: `'${PASSPHRASE}'`,
			GPG_TEST: "'disabled'",
			GPG_OPTS: "'--pinentry-mode loopback'",
			MAX_AGE: `${this.rules.age}D`,
			MAX_FULL_BACKUPS: '1',
			MAX_FULLBKP_AGE: `${this.rules.full}D`,
		};
		let text = fs.readFileSync(conf, 'utf8').replace(/^#(DUPL_PARAMS=.*--full-if-older-than)/m, '$1');
		for (const [name, value] of Object.entries(values)) {
			const line = new RegExp(`^#?${name}=.*$`, 'm');
			text = line.test(text) ? text.replace(line, `${name}=${value}`) : `${text}\n${name}=${value}\n`;
		}
		text += `
export AWS_ACCESS_KEY_ID='${accessKeyId}' AWS_SECRET_ACCESS_KEY='${secretAccessKey}'
DUPL_PARAMS="$DUPL_PARAMS --volsize 1 --s3-endpoint-url ${endpoint}"\n`;
		fs.writeFileSync(conf, text);
		const lines = [`- ${this.source}/cache`, '- **.bak', `+ ${this.source}/tmp/keep`, `- ${this.source}/tmp`];
		fs.writeFileSync(join(profile, 'exclude'), `${lines.join('\n')}\n`);
		const scripts = {
			pre: 'mkdir -p "$SOURCE/dump"; echo "dumped on $(date +%F)" >"$SOURCE/dump/database"',
			post: `echo "$CMD_PREV ended with $CMD_ERR" >>'${this.box.dir}/post.log'`,
		};
		for (const [name, script] of Object.entries(scripts))
			fs.writeFileSync(join(profile, name), `#!/bin/bash\n${script}\n`, { mode: 0o700 });
	}

	/** What happens to the source in a day. */
	#live(day: number): void {
		const at = (name: string) => join(this.source, name);
		const touched: string[] = [];
		const write = (name: string, bytes: Buffer | string) => {
			fs.writeFileSync(at(name), bytes);
			touched.push(name);
		};
		for (const dir of ['etc', 'docs', 'log', 'cache', 'tmp']) fs.mkdirSync(at(dir), { recursive: true });
		write('etc/passwd', `root:x:0:0\nof day:x:${day}\n`);
		write(`docs/letter ${day}`, bytesFrom(`letter ${day}`, 3000 * (day % 3)));
		fs.chmodSync(at(`docs/letter ${day}`), day % 2 ? 0o640 : 0o4755);
		fs.rmSync(at(`docs/letter ${day - 2}`), { force: true });
		// Over two volumes at first; then a piece of it changes.
		const film = day === 0 ? bytesFrom('film', 1_500_000) : fs.readFileSync(at('docs/film'));
		bytesFrom(`scene ${day}`, 5000).copy(film, 60_000 * day);
		write('docs/film', film);
		// As logrotate does it.
		if (fs.existsSync(at('log/messages'))) fs.renameSync(at('log/messages'), at('log/messages.1'));
		write('log/messages', `it is day ${day}\n`.repeat(500));
		fs.rmSync(at('latest'), { force: true });
		fs.symlinkSync(`docs/letter ${day}`, at('latest'));
		// What was a file is a folder every other day.
		fs.rmSync(at('either'), { recursive: true, force: true });
		if (day % 4 < 2) write('either', 'a file');
		else fs.mkdirSync(at('either'));
		for (const name of ['cache/page', 'docs/draft.bak', 'tmp/junk', 'tmp/keep'])
			write(name, `${name} of day ${day}`);
		const now = this.#days.now();
		for (const name of touched) fs.utimesSync(at(name), now, now);
	}

	/**
	 * A day passes, and then the job runs: it makes a backup, and purges by MAX_AGE.
	 * @returns what the job said
	 */
	async day(day: number, job: () => Promise<Ended>): Promise<Ended> {
		this.#days.set(this.rules.last - day);
		await this.#days.awaitServer(this.#server.endpoint);
		this.#live(day);
		const before = new Set(this.kept.map(({ time }) => time));
		const said = await job();
		assert.equal(said.code, 0, `day ${day}\n${said.stdout}\n${said.stderr}`);
		const [time, ...others] = (await this.sets()).filter((set) => !before.has(set));
		assert.ok(time !== undefined && others.length === 0, `day ${day} has one backup\n${said.stdout}`);
		this.#keep({ day, time, tree: describeTree(Buffer.from(this.source), { leaveOut: EXCLUDED }) });
		assert.deepEqual(await this.sets(), this.#times(), `what is kept on day ${day}\n${said.stdout}`);
		return said;
	}

	/** Adds the backup of a day, and takes away what is then outdated: chains that ended MAX_AGE ago. */
	#keep(made: Omit<Kept, 'kind'>): void {
		const full = this.kept.findLast(({ kind }) => kind === 'full');
		const kind = !full || made.day - full.day >= this.rules.full ? 'full' : 'inc';
		const chains: Kept[][] = [];
		for (const backup of [...this.kept, { ...made, kind } as const]) {
			if (backup.kind === 'full') chains.push([]);
			chains.at(-1)?.push(backup);
		}
		const isOld = (chain: Kept[]) => made.day - (chain.at(-1)?.day ?? 0) >= this.rules.age;
		this.kept = chains.filter((chain) => !isOld(chain)).flat();
	}

	/** Only the newest full backup and what is upon it is to be there from now on, as after `purgeFull 1`. */
	keepOneFull(): void {
		this.kept = this.kept.slice(this.kept.findLastIndex(({ kind }) => kind === 'full'));
	}

	#times(): number[] {
		return this.kept.map(({ time }) => time);
	}

	async #objects(): Promise<ListedObject[]> {
		const { endpoint, accessKeyId, secretAccessKey } = this.#server;
		const credentials = { accessKeyId, secretAccessKey };
		const location = { kind: 's3', bucket: BUCKET, prefix: 'of/home', endpoint, credentials } as const;
		return (await openTarget(location, { create: false })).list();
	}

	/** Times of the sets on the target, ascending. */
	async sets(): Promise<number[]> {
		const parsed = (await this.#objects()).map(({ name }) => parseName(name));
		return parsed.flatMap((name) => (name?.part === 'manifest' ? [name.time] : [])).sort((a, b) => a - b);
	}

	/** Nothing is on the target but what belongs to those that are kept. */
	async assertTidy(): Promise<void> {
		const times = this.#times();
		const names = (await this.#objects()).map(({ name }) => name);
		assert.deepEqual(
			names.filter((name) => !times.includes(parseName(name)?.time ?? 0)),
			[],
		);
	}

	/** The backup that a time so many days ago means. */
	before(days: number): Kept {
		return this.kept.findLast(({ day }) => day <= this.rules.last - days) as Kept;
	}

	assertIs(folder: string, { day, tree }: Kept, comparison?: Comparison): void {
		assertSameTree(describeTree(Buffer.from(folder)), tree, `day ${day} in ${folder}`, comparison);
		const dumped = snapshotDate(this.kept.find((kept) => kept.day === day)?.time ?? 0);
		assert.equal(fs.readFileSync(join(folder, 'dump/database'), 'utf8'), `dumped on ${dumped}\n`);
	}

	/** A machine that has nothing but the conf and the exported keys: it restores and mounts every backup. */
	async assertAllComeBackElsewhere(profile: string): Promise<void> {
		const bare = machine();
		Object.assign(bare.env, this.#days.env);
		const dir = join(bare.env.HOME as string, '.duply/home');
		fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
		const names = fs.readdirSync(profile).filter((name) => /^(conf$|gpgkey\.)/.test(name));
		assert.equal(names.length, 3, 'both keys are there');
		for (const name of names) fs.copyFileSync(join(profile, name), join(dir, name));
		try {
			const { at, umount } = await mount(bare, '-p', 'home');
			const dates = this.kept.map(({ time }) => snapshotDate(time));
			assert.deepEqual(fs.readdirSync(at), [...dates, 'latest']);
			for (const [i, kept] of this.kept.entries()) {
				this.assertIs(join(at, dates[i] as string), kept);
				const to = join(bare.dir, `day ${kept.day}`);
				const { code, stderr } = await tsdup(['restore', 'home', to, formatSetTime(kept.time)], bare);
				assert.equal(code, 0, stderr);
				this.assertIs(to, kept);
			}
			await umount();
		} finally {
			bare.remove();
		}
	}

	/** duplicity, which knows nothing of profiles, sees these backups and nothing left over, and restores them. */
	async assertAllComeBackByStock(): Promise<void> {
		const { accessKeyId, secretAccessKey, endpoint } = this.#server;
		const keys = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
		const env = { ...this.box.env, ...keys, PASSPHRASE, TZ: 'UTC' };
		const stock = async (command: string[], ...paths: string[]) => {
			const args = ['--s3-endpoint-url', endpoint, `boto3+s3://${BUCKET}/of/home`];
			const { code, stdout, stderr } = await duplicity([...command, ...args, ...paths], { env });
			assert.equal(code, 0, stdout + stderr);
			return stdout;
		};
		const status = await stock(['collection-status']);
		assert.match(status, /^No orphaned or incomplete backup sets found\.$/m);
		const seen = [...status.matchAll(/^ +(Full|Incremental) +(\S.*?) {2,}\d+$/gm)].map(
			([, kind, date]) => `${kind === 'Full' ? 'full' : 'inc'} ${Date.parse(`${date} UTC`) / 1000}`,
		);
		assert.deepEqual(
			seen,
			this.kept.map(({ kind, time }) => `${kind} ${time}`),
		);
		for (const kept of this.kept) {
			const to = join(this.box.dir, `by stock ${kept.day}`);
			await stock(['restore', '-t', String(kept.time)], to);
			this.assertIs(to, kept, { symlinkTimes: false });
		}
	}

	/** What `tsdup status` lists, as it writes the times of sets. */
	async listed(): Promise<string[]> {
		const { code, stdout, stderr } = await this.tsdup('--json', 'status', 'home');
		assert.equal(code, 0, stderr);
		const lines = stdout
			.trim()
			.split('\n')
			.map((line) => JSON.parse(line));
		return lines.flatMap(({ time }) => time ?? []);
	}

	/** `backup ended with 0` for each backup so far. */
	scriptLog(): string[] {
		return fs.readFileSync(join(this.box.dir, 'post.log'), 'utf8').split('\n').filter(Boolean);
	}

	duply(...args: string[]): Promise<Ended> {
		return duply(args, this.box);
	}

	tsdup(...args: string[]): Promise<Ended> {
		return tsdup(args, this.box);
	}
}

/** A user's machine: everything is where it is by default. */
function machine(): Sandbox {
	const box = sandbox();
	delete box.env.TSDUP_PROFILES;
	delete box.env.XDG_CACHE_HOME;
	return box;
}

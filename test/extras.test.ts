/**
 * What tsdup keeps and duplicity has no place for comes back: in the mount, by restore and by fetch, from the segments and from the
 * tars alone; and duplicity passes over it, as a reader and as one who goes on with the chain.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, lstatSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Attributes, assertSameToRsync, attributesOf } from './attributes.js';
import { duplicity, type Ended, profile, sandbox, tsdup } from './cli.js';
import { assertSameTree, describeTree, type TreeEntry } from './tree.js';

const MAIN = fileURLToPath(new URL('./tsdup.js', import.meta.url));
const PASSPHRASE = 'a passphrase of the extras test';
const box = sandbox();
const source = join(box.dir, 'source');
const target = join(box.dir, 'target');
const mountpoint = join(box.dir, 'mount');
const env = { ...box.env, TZ: 'UTC', PASSPHRASE };

interface Snapshot {
	/** Seconds. */
	readonly time: number;
	readonly tree: TreeEntry[];
	readonly attributes: Attributes;
}
const snapshots: Snapshot[] = [];

async function run(...args: string[]): Promise<Ended> {
	const ended = await tsdup(args, { env });
	assert.equal(ended.code, 0, `tsdup ${args.join(' ')}\n${ended.stdout}\n${ended.stderr}`);
	return ended;
}

async function stock(...args: string[]): Promise<Ended> {
	const ended = await duplicity(args, { env });
	assert.equal(ended.code, 0, `duplicity ${args.join(' ')}\n${ended.stdout}\n${ended.stderr}`);
	return ended;
}

function shell(script: string): void {
	execFileSync('bash', ['-ec', script], { cwd: source });
}

/** Times of the sets on the target, s, oldest first. */
function setTimes(): number[] {
	const names = readdirSync(target).filter((name) => name.includes('.manifest'));
	const times = names.map((name) => /(\d{8}T\d{6}Z)\.manifest/.exec(name)?.[1] as string);
	const iso = /(....)(..)(..)T(..)(..)(..)Z/;
	return times.map((time) => Date.parse(time.replace(iso, '$1-$2-$3T$4:$5:$6Z')) / 1000).sort();
}

function remember(): void {
	const time = setTimes().at(-1) as number;
	snapshots.push({ time, tree: describeTree(Buffer.from(source)), attributes: attributesOf(source) });
}

async function backup(...options: string[]): Promise<void> {
	await run('backup', 'p', ...options);
	remember();
}

async function assertStockVerifies(): Promise<void> {
	const { stdout } = await stock('verify', '--compare-data', `file://${target}`, source);
	const files = describeTree(Buffer.from(source)).length;
	assert.match(stdout, new RegExp(`Verify complete: ${files} files compared, 0 differences found`));
}

function folderOf({ time }: Snapshot): string {
	return new Date(time * 1000).toISOString().slice(0, 19).replace('T', '_').replaceAll(':', '-');
}

async function mounted(act: () => void): Promise<void> {
	await run('mount', '-p', 'p', mountpoint);
	try {
		act();
	} finally {
		await run('umount', mountpoint);
	}
}

/** Of the files with holes: bytes on disk. */
function allocated(root: string): number[] {
	return ['holes', 'hole', 'small-holes', 'small-hole'].map(
		(name) => lstatSync(join(root, name)).blocks * 512,
	);
}

before(async () => {
	profile(box, 'p', `SOURCE='${source}'\nTARGET='file://${target}'\nGPG_PW='${PASSPHRASE}'\n`);
	mkdirSync(source);
	mkdirSync(mountpoint);
	writeFileSync(join(source, 'big'), Buffer.alloc(2_500_000, 'three frames of content; '));
	shell(`
		mkdir folder
		echo text >plain
		echo attributes >attributes
		setfattr -n user.text -v 'a value' attributes
		setfattr -n user.empty attributes
		setfattr -n user.binary -v 0x00ff0a00 attributes
		setfattr -n 'user.100%=sure' -v 0x3d0a attributes
		setfattr -n $'user.\\xe4' -v latin attributes
		setfattr -n user.text -v "$(head -c 3000 /dev/zero | tr '\\0' x)" big
		setfacl -m u:1234:rw,g:4321:r attributes
		setfacl -d -m u:1234:rwx folder
		echo inherits >folder/below
		setfattr -n user.folder -v 1 folder
		setfattr -n user.root -v 1 .
		echo secret >forbidden; setfattr -n user.x -v y forbidden; chmod 400 forbidden
		ln -s plain link; mkfifo fifo
		echo several names >names-1; ln names-1 names-2; ln names-1 folder/names-0; ln fifo folder/fifo
		echo alone >name
		truncate -s 5M holes; printf data | dd of=holes bs=1 seek=3000000 conv=notrunc status=none
		truncate -s 2M hole
		truncate -s 200K small-holes; printf data | dd of=small-holes bs=1 seek=100000 conv=notrunc status=none
		truncate -s 9 small-hole
	`);
	if (process.getuid?.() === 0) {
		shell(`
			setfattr -n trusted.x -v y big
			setfattr -h -n trusted.link -v y link
			setfattr -n trusted.fifo -v y fifo
			cp /bin/true program; chown 12:34 program; chmod 2755 program
			setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 program
		`);
	}
	shell(
		'n=100000007; find . -print0 | while IFS= read -rd "" f; do touch -hd "2021-02-03 04:05:06.$((n++))" "$f"; done',
	);
	await backup();
	await assertStockVerifies();

	shell(`
		echo more >>attributes; setfattr -x user.text attributes; setfattr -n user.new -v 1 attributes
		setfacl -x u:1234 attributes; setfacl -k folder
		printf changed | dd of=big bs=1 seek=1000000 conv=notrunc status=none
		touch -d '2022-02-03 04:05:06.000000001' big folder
		echo more >>names-2; ln names-1 folder/names-3; ln name name-2; rm folder/fifo
		touch -d '2022-02-03 04:05:06.000000002' names-1
		printf data | dd of=holes bs=1 seek=1000000 conv=notrunc status=none
	`);
	await backup();
	await assertStockVerifies();
});
after(() => box.remove());

test('the source has what the others are about', () => {
	const { xattrs, acls, times, links } = (snapshots[0] as Snapshot).attributes;
	assert.match(xattrs, /user\.100%.*=0x3d0a/);
	assert.match(acls, /default:user:1234:rwx/);
	assert.match(times, /\.1000000\d\d$/m);
	assert.equal(links, '2 ./fifo ./folder/fifo\n3 ./folder/names-0 ./names-1 ./names-2');
	assert.equal(
		snapshots[1]?.attributes.links,
		'4 ./folder/names-0 ./folder/names-3 ./names-1 ./names-2\n2 ./name ./name-2',
	);
	assert.notDeepEqual(snapshots[0]?.attributes, snapshots[1]?.attributes);
});

test('a mount shows nanoseconds, extended attributes, ACLs and hard links', async () => {
	await mounted(() => {
		for (const snapshot of snapshots) {
			const folder = join(mountpoint, folderOf(snapshot));
			assertSameTree(describeTree(Buffer.from(folder)), snapshot.tree, folderOf(snapshot));
			assert.deepEqual(attributesOf(folder), snapshot.attributes);
		}
		assert.deepEqual(allocated(join(mountpoint, 'latest')), allocated(source));
		assertSameToRsync(source, join(mountpoint, 'latest'));
	});
});

test('restore and fetch bring them back', async () => {
	for (const [i, snapshot] of snapshots.entries()) {
		const to = join(box.dir, `restored-${i}`);
		await run('restore', 'p', to, String(snapshot.time));
		assertSameTree(describeTree(Buffer.from(to)), snapshot.tree, to);
		assert.deepEqual(attributesOf(to), snapshot.attributes);
	}
	assertSameToRsync(source, join(box.dir, 'restored-1'));
	assert.deepEqual(allocated(join(box.dir, 'restored-1')), allocated(source));
	await run('fetch', 'p', 'attributes', join(box.dir, 'fetched'));
	const dump = (path: string) =>
		execFileSync('getfattr', ['-d', '-m', '-', '--only-values', path]).toString('hex');
	assert.equal(dump(join(box.dir, 'fetched')), dump(join(source, 'attributes')));
});

test('a tar on stdout has all of it: GNU tar restores them, and other readers the contents', async () => {
	for (const [i, snapshot] of snapshots.entries()) {
		const to = join(box.dir, `untarred-${i}`);
		mkdirSync(to);
		const tar = join(box.dir, `${i}.tar`);
		execFileSync(
			'bash',
			['-ec', '"$1" "$2" restore p - "$3" >"$4"', 'bash', process.execPath, MAIN, String(snapshot.time), tar],
			{ env, stdio: 'ignore' },
		);
		const args = ['--xattrs', '--xattrs-include=*', '-xpf', tar, '-C', to];
		const said = spawnSync('tar', args, { encoding: 'utf8' });
		assert.deepEqual([said.status, said.stderr], [0, '']);
		assertSameTree(describeTree(Buffer.from(to)), snapshot.tree, to);
		assert.deepEqual(attributesOf(to), snapshot.attributes);
		if (i === 1) assert.deepEqual(allocated(to), allocated(source));
		const sums =
			'import sys, tarfile, hashlib\nt = tarfile.open(sys.argv[1])\nfor m in t: print(m.name, hashlib.sha256(t.extractfile(m).read()).hexdigest() if m.isfile() and not m.islnk() else "")';
		const python = execFileSync('/usr/bin/python3', ['-c', sums, tar], { encoding: 'utf8' });
		for (const { path, sha256 } of snapshot.tree.filter(({ path }) => /^(holes?|big|attributes)$/.test(path)))
			assert.ok(python.includes(`./${path} ${sha256}\n`), `${path}\n${python}`);
	}
	assertSameToRsync(source, join(box.dir, 'untarred-1'));
	// A part of the tree, and so of the names.
	const part = execFileSync(
		'bash',
		['-ec', '"$1" "$2" -q fetch p folder - | tar -tv', 'bash', process.execPath, MAIN],
		{ env, encoding: 'utf8' },
	);
	assert.match(part, /^h.* folder\/names-3 link to folder\/names-0$/m);
});

test('stock restores the rest', async () => {
	for (const [i, { time, tree }] of snapshots.entries()) {
		const to = join(box.dir, `stock-${i}`);
		await stock('restore', '-t', String(time), `file://${target}`, to);
		assertSameTree(describeTree(Buffer.from(to)), tree, to, { symlinkTimes: false });
	}
});

test('without segments they are in the tars: only the nanoseconds are lost', async () => {
	const aside = join(box.dir, 'aside');
	execFileSync('sh', [
		'-ec',
		'mkdir "$1"; mv "$2"/tsdup-index.* "$1"; rm -rf "$3"',
		'sh',
		aside,
		target,
		box.env.XDG_CACHE_HOME as string,
	]);
	await mounted(() => {
		for (const snapshot of snapshots) {
			const { times, ...rest } = attributesOf(join(mountpoint, folderOf(snapshot)));
			const { times: expected, ...others } = snapshot.attributes;
			assert.deepEqual(rest, others);
			assert.equal(times, expected.replace(/\.\d{9}$/gm, '.000000000'));
		}
	});
	execFileSync('sh', [
		'-ec',
		'mv "$1"/* "$2"; rm -rf "$3"',
		'sh',
		aside,
		target,
		box.env.XDG_CACHE_HOME as string,
	]);
});

test('GNU tar restores nanoseconds and attributes', () => {
	const to = join(box.dir, 'by-tar');
	mkdirSync(to);
	const script = `cat "$1"/duplicity-full.*.vol1.difftar.gpg |
		gpg --quiet --batch --pinentry-mode loopback --passphrase "$PASSPHRASE" --decrypt |
		tar --xattrs --xattrs-include='*' -xp -C "$2"`;
	execFileSync('sh', ['-ec', script, 'sh', target, to], { env, stdio: ['ignore', 'pipe', 'pipe'] });
	const { xattrs, times } = attributesOf(join(to, 'snapshot'));
	const of = (dump: string, path: string) =>
		dump.split('\n\n').find((entry) => entry.startsWith(`# file: ${path}\n`));
	const first = (snapshots[0] as Snapshot).attributes;
	assert.equal(of(xattrs, 'attributes'), of(first.xattrs, 'attributes'));
	const time = (dump: string) => /^\.\/attributes .*$/m.exec(dump)?.[0];
	assert.equal(time(times), time(first.times));
});

test('stock goes on with the chain, tsdup goes on with that, and each keeps what it knows', async () => {
	appendFileSync(join(source, 'attributes'), 'by stock');
	writeFileSync(join(source, 'new by stock'), 'new');
	rmSync(join(source, 'fifo'));
	await stock('incr', source, `file://${target}`);
	await assertStockVerifies();
	const byStock = setTimes().at(-1) as number;
	appendFileSync(join(source, 'attributes'), ', and by tsdup');
	await backup();
	await assertStockVerifies();
	const xattrs = (path: string) =>
		execFileSync('getfattr', ['-d', '-m', '^user', path], { cwd: mountpoint }).toString();
	await mounted(() => {
		const folder = folderOf({ time: byStock } as Snapshot);
		// Unknown, which is shown as none; what stock did not touch is as it was.
		assert.equal(xattrs(`${folder}/attributes`), '');
		assert.match(xattrs(`${folder}/forbidden`), /user\.x="y"/);
		assert.match(xattrs('latest/attributes'), /user\.new="1"/);
	});
});

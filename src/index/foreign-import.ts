/**
 * Takes a set without a segment into the index: names and metadata from its sigtar, path ranges of its volumes from its
 * manifest. Sizes and contents stay unknown until a volume is read. Either of the two may be lost, but not both: without
 * the manifest any volume may hold any path, without the sigtar the volumes themselves are read.
 */

import { ahead, begun } from '../ahead.js';
import type { BackupSet, SetObject } from '../collection/backup-set.js';
import type { Manifest } from '../collection/manifest.js';
import { volumeName } from '../collection/names.js';
import { DamageError, KeyError, MissingObjectError, type TsdupError } from '../errors.js';
import { EMPTY_FILE_SIGNATURE } from '../rsync/signature.js';
import { type Member, type MemberMetadata, parseMember } from '../volume/members.js';
import { listTar } from '../volume/tar-reader.js';
import type { Header } from './entry.js';
import { volumeId } from './extents.js';
import { addForeign } from './foreign.js';
import { type ForeignSource, isLoss, loadManifest, openObject, openSigtar } from './foreign-source.js';
import type { Index } from './index.js';
import { formOf } from './plain.js';
import { awaitSegment, inTransaction, type ObjectKey, SetImport } from './set-import.js';

/** @throws DamageError when the sigtar is lost, and the manifest or a volume, too; KeyError, TargetError */
export async function importForeign(
	index: Index,
	set: BackupSet,
	chain: number,
	source: ForeignSource,
): Promise<void> {
	// Their keys take longest: the passphrase is hashed for each of the two at the same time.
	const sigtar = set.sigtar && begun(openSigtar(set.sigtar, source));
	try {
		await take(index, set, chain, source, sigtar);
	} finally {
		await sigtar?.return();
	}
}

async function take(
	index: Index,
	set: BackupSet,
	chain: number,
	source: ForeignSource,
	sigtar: AsyncIterable<Buffer> | null,
): Promise<void> {
	const { manifest, key, loss } = await readManifest(set, source);
	const takeFrom = (objects: readonly SetObject[]) =>
		inTransaction(index, set.time, async () => {
			const { kind, time, start } = set;
			const taken = new SetImport(index, { kind, time, start, chain }, key);
			if (!set.segment) awaitSegment(index, time);
			addObjects(index, set, manifest);
			for (const object of objects) {
				const tar = object === set.sigtar && sigtar ? sigtar : openObject(object, source);
				await takeMembers(taken, set, object, tar, source);
			}
		});
	try {
		if (!set.sigtar) throw new MissingObjectError('its signatures are not on the target');
		await takeFrom([set.sigtar]);
	} catch (error) {
		// A key that opens the manifest opens the sigtar: what it does not open is damaged.
		if (!isLoss(error) && !(error instanceof KeyError && manifest)) throw error;
		// Without the manifest nobody says whether there was one more volume.
		if (!manifest) throw loss instanceof KeyError ? loss : error;
		const volumes = set.volumes.filter(({ number }) =>
			manifest.volumes.some((listed) => listed.number === number),
		);
		// One that is not encrypted may be cut off: then it lists fewer than there are.
		const listed = set.manifest?.encrypted ? volumes.length : set.volumes.length;
		if (manifest.volumes.length !== listed || listed === 0) throw error;
		source.note(
			`The volumes of ${date(set)} are read to list it, because ${lower((error as Error).message)}`,
		);
		await takeFrom(volumes);
	}
	if (loss) source.note(`The manifest of ${date(set)} is lost: ${lower(loss.message)}`);
}

interface ReadManifest {
	/** null when it is lost: the volumes say themselves what is in them. */
	readonly manifest: Manifest | null;
	readonly key: ObjectKey | null;
	/** Why it is null. A KeyError may be damage or a wrong key: the set's other objects tell. */
	readonly loss: TsdupError | null;
}

async function readManifest(set: BackupSet, source: ForeignSource): Promise<ReadManifest> {
	let key: ObjectKey | null = null;
	const opener = {
		gpg: source.opener.gpg,
		sessionKey: async (header: Buffer) => {
			const session = await source.opener.sessionKey(header);
			key = { header, key: session.key };
			return session;
		},
	};
	try {
		if (!set.manifest) throw new MissingObjectError('it is not on the target');
		const manifest = await loadManifest(set.manifest, { ...source, opener });
		return { manifest, key, loss: null };
	} catch (error) {
		if (!isLoss(error) && !(error instanceof KeyError)) throw error;
		return { manifest: null, key: null, loss: error };
	}
}

function addObjects(index: Index, set: BackupSet, manifest: Manifest | null): void {
	const ranges = new Map(manifest?.volumes.map((volume) => [volume.number, volume]));
	const listed = new Map(set.volumes.map((volume) => [volume.number, volume]));
	for (const number of new Set([...listed.keys(), ...ranges.keys()])) {
		const object = listed.get(number);
		const range = ranges.get(number);
		// A manifest leaves out what a resumed run wrote again under another number.
		if (manifest && !range) continue;
		addForeign(
			index,
			{
				id: volumeId(set.time, number),
				setTime: set.time,
				// A volume that is not there is still the one that a path lies in: reading it says that it is missing.
				name: object?.name ?? volumeName(set, number, set.manifest?.encrypted ? 'gpg' : 'none'),
				size: object?.size ?? 0,
				form: object ? formOf(object) : set.manifest?.encrypted ? 'gpg' : 'gz',
				sha1: range?.sha1 ?? null,
			},
			range ? { first: range.start.path, last: range.end.path } : null,
		);
	}
	if (set.sigtar) {
		const { name, size } = set.sigtar;
		const form = formOf(set.sigtar);
		addForeign(index, { id: volumeId(set.time, 0), setTime: set.time, name, size, form, sha1: null }, null);
	}
}

async function takeMembers(
	taken: SetImport,
	set: BackupSet,
	object: SetObject,
	tar: AsyncIterable<Buffer>,
	source: ForeignSource,
): Promise<void> {
	let before: Buffer | null = null;
	for await (const entries of listTar(ahead(tar), object.name)) {
		for (const entry of entries) {
			const member = meaning(entry.header, source);
			// The pieces of a file are one entry.
			if (!member || (member.piece !== null && before?.equals(member.path))) continue;
			before = member.path;
			takeMember(taken, set, member, entry.offset);
		}
	}
}

function takeMember(taken: SetImport, set: BackupSet, member: Member, offset: number): void {
	const { kind, path, metadata, size } = member;
	if (kind === 'deleted') {
		if (path.length > 0) taken.deleted(path);
		return;
	}
	const isEmpty = kind === 'signature' && size === EMPTY_FILE_SIGNATURE;
	const known = metadata.type === 'file' && !isEmpty ? null : (metadata.link?.length ?? 0);
	taken.entry(
		path,
		headerOf(metadata),
		{ size: known, extents: known === null ? null : [], delta: null },
		kind === 'signature' ? { volume: volumeId(set.time, 0), offset, length: size } : null,
	);
}

/** Field by field: of spread objects V8 makes a new shape each, and then looks up every field of theirs slowly. */
function headerOf(m: MemberMetadata): Header {
	return {
		type: m.type,
		mode: m.mode,
		uid: m.uid,
		gid: m.gid,
		uname: m.uname,
		gname: m.gname,
		mtime: m.mtime,
		mtimeNs: m.mtimeNs,
		link: m.link,
		devMajor: m.devMajor,
		devMinor: m.devMinor,
		xattrs: m.xattrs,
		hardLink: m.hardLink,
		allocated: m.allocated,
	};
}

/** One member that makes no sense costs that entry only. */
function meaning(header: Parameters<typeof parseMember>[0], source: ForeignSource): Member | null {
	try {
		return parseMember(header);
	} catch (error) {
		if (!(error instanceof DamageError)) throw error;
		source.note(error.message);
		return null;
	}
}

function date(set: BackupSet): string {
	return new Date(set.time * 1000).toISOString();
}

function lower(sentence: string): string {
	return sentence.charAt(0).toLowerCase() + sentence.slice(1);
}

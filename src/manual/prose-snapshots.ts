/** What the man pages say of looking at backups, and of getting something back. */
import type { Page } from './page.js';

const time =
	'A time is written as in duplicity: now, 2026-11-23, 2026-11-23T07:49:16+01:00, 7D, 2W, 1M3D, or seconds since 1970. The newest snapshot that is not later is meant; without a time, the newest of all.';

export const snapshots: Readonly<Record<string, Page>> = {
	mount: {
		description: [
			'Shows every snapshot of a collection as a folder, named by its local date, read-only; latest is a link to the newest. It returns when they can be listed, and goes on in the background.',
			'With several profiles each is a folder at the root. With --target a collection is mounted without any profile; its passphrase is in the variable PASSPHRASE, as for duplicity.',
		],
		examples: [
			['tsdup mount snapshots', 'mounts the only profile there is.'],
			['tsdup mount -p home -p work snapshots', 'mounts two.'],
			['tsdup mount --target s3:///bucket/backups snapshots', 'mounts what duplicity wrote there.'],
		],
		files: [['~/.cache/tsdup/mount.log', 'what is behind an Input/output error.']],
		seeAlso: ['tsdup-umount', 'fusermount3', 'mount(8)'],
	},
	umount: {
		description: ['Unmounts what tsdup mount mounted; without a mountpoint the only tsdup mount there is.'],
		seeAlso: ['tsdup-mount'],
	},
	status: {
		description: [
			'Lists the chains and sets on the target: their ages and sizes, when tsdup verify last found them good, when the next backup will be a full one by itself, and what belongs to none, object by object.',
			'With --mounts instead of a profile it lists the mounts there are, and the process that holds each.',
		],
		examples: [
			['tsdup status home', 'lists the backups.'],
			['tsdup status --mounts', 'lists the mounts.'],
		],
		seeAlso: ['tsdup-verify', 'tsdup-umount'],
	},
	list: {
		description: ['Prints the paths of a snapshot, one on a line, as the bytes they are.', time],
		examples: [['tsdup list home 7D', 'lists what there was a week ago.']],
	},
	verify: {
		description: [
			'Reads each object that a snapshot needs once, as a stream, and checks it: volumes and signatures against their digests, manifests and segments by reading them to their end. Each object that is not good is a line of the output, and so is each file of the snapshot that cannot be read because of it. Nothing that is damaged ends the run.',
			'With --compare-data the source is compared with the snapshot as well, as duplicity does it: type, mode, owner, time in whole seconds, link and content. Without it the source is not looked at.',
			'Where a key signs the backups of this profile (GPG_KEY_SIGN), manifests, signatures and segments must be signed by it, and so, by the digests in them, all is. GnuPG judges, with the public key that it has.',
			'With --sample only some percent of the bytes are read, of whole objects, those that were not verified for longest: run every day, it goes through all backups in turn.',
			time,
		],
		examples: [
			['tsdup verify home', 'checks the newest snapshot.'],
			['tsdup verify home 7D --compare-data', 'also compares the snapshot of a week ago with the source.'],
			['tsdup verify home --sample 5%', 'checks a twentieth of all backups.'],
		],
		seeAlso: ['tsdup-status', 'tsdup-restore', 'duplicity'],
	},
	restore: {
		description: [
			'Restores a whole snapshot with its metadata. Owners and devices come back when it runs as root.',
			'A restore that was interrupted goes on when it is started again: what is there with the right size and time is taken for finished. Anything else at the destination is named, and nothing is restored, unless --force is given: then every file is written anew, over what is there; folders that are there stay, with what else is in them.',
			'With - as the destination a tar archive is written to stdout.',
			time,
		],
		examples: [
			['tsdup restore home /tmp/all', 'restores the newest snapshot.'],
			['tsdup restore home - 7D >all.tar', 'makes a tar archive of what there was a week ago.'],
		],
		seeAlso: ['tsdup-fetch', 'tsdup-mount'],
	},
	fetch: {
		description: [
			'Restores one file or folder of a snapshot. The path is relative to the source. If the destination is a folder, it goes into it under its own name, as with cp; with - it is written to stdout, in a tar archive. What is there already is treated as by tsdup restore.',
			time,
		],
		examples: [['tsdup fetch home etc/passwd /tmp/passwd 1D', 'fetches a file as it was yesterday.']],
		seeAlso: ['tsdup-restore', 'tsdup-mount'],
	},
	index: {
		description: [
			'The index is a cache of names and places, kept on this machine. It can always be built again from the target.',
		],
	},
};

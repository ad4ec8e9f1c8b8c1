/**
 * The errors a person may see. Each says what failed, on which path or object, and what to do;
 * `code` is stable for scripts, `exit` is the process's exit code (see docs/errors.md).
 */
export class TsdupError extends Error {
	readonly code: string = 'E_FAILED';
	readonly exit: number = 1;

	constructor(message: string, options?: { cause?: unknown }) {
		super(message, options);
		this.name = new.target.name;
	}
}

/** Exit code of a command that did what it was to do, and told of something. */
export const WARNED = 3;

/** Wrong usage, or a profile that cannot be used. */
export class UsageError extends TsdupError {
	override readonly code = 'E_USAGE';
	override readonly exit = 2;
}

/** Data on the target, or a cache of it, is not what its digest, format or manifest says. */
export class DamageError extends TsdupError {
	override readonly code: string = 'E_DAMAGE';
	override readonly exit = 4;
}

/** What should be signed by a certain key is not. */
export class SignatureError extends DamageError {
	override readonly code = 'E_SIGNATURE';
}

/** Data of a kind that neither this program nor the user's GnuPG can read; nothing says that it is damaged. */
export class UnsupportedError extends TsdupError {
	override readonly code = 'E_UNSUPPORTED';
}

/** Another run works on the same collection. */
export class LockError extends TsdupError {
	override readonly code = 'E_LOCKED';
	override readonly exit = 5;
}

/** The passphrase or key does not open, or is not there. */
export class KeyError extends TsdupError {
	override readonly code = 'E_KEY';
	override readonly exit = 6;
}

/** The target cannot be reached, or refuses. */
export class TargetError extends TsdupError {
	override readonly code: string = 'E_TARGET';
	override readonly exit = 7;
}

/** An object that should be on the target is not there. */
export class MissingObjectError extends TargetError {
	override readonly code = 'E_MISSING_OBJECT';
}

/** What a check of `tsdup doctor` found. Its words never hold a secret. */
export type State = 'ok' | 'warning' | 'failed';

export interface Finding {
	/** One word, for scripts: `target`, `clock` …. */
	readonly check: string;
	readonly state: State;
	/** One sentence. */
	readonly found: string;
	/** How to mend it; absent when there is nothing to mend. */
	readonly mend?: string;
}

export function ok(check: string, found: string): Finding {
	return { check, state: 'ok', found };
}

export function warning(check: string, found: string, mend: string): Finding {
	return { check, state: 'warning', found, mend };
}

export function failed(check: string, found: string, mend: string): Finding {
	return { check, state: 'failed', found, mend };
}

/** What an error says, as a finding. */
export function failedBy(check: string, error: unknown, mend: string): Finding {
	return failed(check, (error as Error).message, mend);
}

/** What is to be run each day without anybody there, whoever starts it: systemd (systemd.ts) or cron (cron.ts). */
export interface Job {
	/** The profile's. */
	readonly name: string;
	/** `backup of home` */
	readonly title: string;
	/** Absolute path of node, that of the script, then tsdup's own words. No newline in any. */
	readonly command: readonly string[];
	/** What its programs need to know: HOME and the like. No secrets. */
	readonly environment: Readonly<Record<string, string>>;
	/** Local time. */
	readonly at: { readonly hour: number; readonly minute: number };
	/** Seconds by which it may begin later. */
	readonly delay: number;
	/** A shell command. */
	readonly onFailure?: string;
	/** For the whole machine, not for one user's session. */
	readonly system: boolean;
}

/** What a man page says beyond the definitions of a command and its options. */
export interface Page {
	/** Paragraphs. */
	readonly description: readonly string[];
	readonly examples?: readonly (readonly [command: string, meaning: string])[];
	readonly files?: readonly (readonly [path: string, meaning: string])[];
	/** Other pages: `tsdup-mount`, `duplicity`, `systemd.timer(5)`. */
	readonly seeAlso?: readonly string[];
}

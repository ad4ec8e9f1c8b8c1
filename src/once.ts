/** Found out when it is asked for, and only then, and once. */
export function once<T>(find: () => T): () => T {
	let found: { readonly value: T } | null = null;
	return () => {
		found ??= { value: find() };
		return found.value;
	};
}

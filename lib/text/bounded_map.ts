// A map that forgets what was not asked for lately, so that it never grows beyond a bound.

/**
 * A map of at most twice `size` entries: when the young half is full it becomes the old half, and what the old half held is
 * forgotten unless it was asked for meanwhile. Dearer bookkeeping, such as an order of use, would cost more than it saves.
 */
export function boundedMap<K, V>(size: number): {
  get(key: K): V | undefined;
  set(key: K, value: V): void;
} {
  let young = new Map<K, V>(), old = new Map<K, V>();
  const set = (key: K, value: V) => {
    if (young.size >= size) [young, old] = [new Map(), young];
    young.set(key, value);
  };
  return {
    set,
    get(key) {
      const found = young.get(key);
      if (found !== undefined) return found;
      const older = old.get(key);
      if (older !== undefined) set(key, older);
      return older;
    },
  };
}

/** Makes room for one more entry in a map of at most `size`: drops the one that was added first. */
export function keepWithin<Key>(map: Map<Key, unknown>, size: number): void {
  if (map.size < size) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}

/** Notes a value in a map of at most `size`, as its newest entry: the one that was noted longest ago makes room. */
export function noteWithin<Key, Value>(map: Map<Key, Value>, size: number, key: Key, value: Value): void {
  map.delete(key);
  keepWithin(map, size);
  map.set(key, value);
}

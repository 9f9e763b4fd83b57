/** Makes room for one more entry in a map of at most `size`: drops the one that was added first. */
export function keepWithin(map: Map<string, unknown>, size: number): void {
  if (map.size < size) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}

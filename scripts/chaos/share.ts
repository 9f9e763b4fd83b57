/** The value of sorted figures below which this share of them lies, with one decimal: 0.5 for the median, 1 for the largest. */
export function atShare(sorted: readonly number[], share: number): string {
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1);
}

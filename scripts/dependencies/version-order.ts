/** Whether one version precedes another (Semantic Versioning 2.0.0, section 11). Build metadata does not count. */
export function isOlderVersion(one: string, other: string): boolean {
  const [a, b] = [partsOf(one), partsOf(other)];
  for (let index = 0; index < 3; index += 1) {
    const difference = (a.numbers[index] ?? 0) - (b.numbers[index] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  // A version precedes its own release when it is a pre-release.
  if (a.pre.length === 0 || b.pre.length === 0) return a.pre.length > b.pre.length;
  for (let index = 0; index < Math.max(a.pre.length, b.pre.length); index += 1) {
    const [left, right] = [a.pre[index], b.pre[index]];
    if (left === right) continue;
    if (left === undefined || right === undefined) return left === undefined;
    return isOlderIdentifier(left, right);
  }
  return false;
}

/** Numbers compare as numbers and precede text; text compares by character code. */
function isOlderIdentifier(one: string, other: string): boolean {
  const [isNumber, isOtherNumber] = [/^\d+$/.test(one), /^\d+$/.test(other)];
  if (isNumber && isOtherNumber) return Number(one) < Number(other);
  return isNumber === isOtherNumber ? one < other : isNumber;
}

function partsOf(version: string): { numbers: number[]; pre: string[] } {
  const [core = ""] = version.split("+");
  const at = core.indexOf("-");
  const numbers = (at === -1 ? core : core.slice(0, at)).split(".").map(Number);
  return { numbers, pre: at === -1 ? [] : core.slice(at + 1).split(".") };
}

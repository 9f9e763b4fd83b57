/** Levels of nesting that are printed. No tool's input has more than five; a hostile one overflows the stack of `JSON.stringify`. */
const MAX_DEPTH = 12;

/**
 * A value as indented JSON, at most `limit` characters of it. Unlike `JSON.stringify` it stops in the middle, so a value that is huge or
 * deep costs no more than what is shown of it.
 */
export function jsonText(value: unknown, limit: number): string {
  const out: string[] = [];
  let left = limit;
  const put = (text: string): void => {
    out.push(text.length <= left ? text : `${text.slice(0, Math.max(0, left))}…`);
    left -= text.length;
  };
  const print = (one: unknown, depth: number): void => {
    if (left <= 0) return;
    if (typeof one === "string") return put(JSON.stringify(one.slice(0, left + 1)));
    if (typeof one !== "object" || one === null) return put(String(JSON.stringify(one) ?? "null"));
    const isList = Array.isArray(one);
    const entries: Iterable<readonly [string | number, unknown]> = isList ? one.entries() : Object.entries(one);
    if (depth >= MAX_DEPTH) return put(isList ? "[…]" : "{…}");
    const indent = "  ".repeat(depth + 1);
    let isFirst = true;
    put(isList ? "[" : "{");
    for (const [key, inner] of entries) {
      if (left <= 0) break;
      put(`${isFirst ? "" : ","}\n${indent}${isList ? "" : `${JSON.stringify(String(key).slice(0, left + 1))}: `}`);
      print(inner, depth + 1);
      isFirst = false;
    }
    put(`${isFirst ? "" : `\n${"  ".repeat(depth)}`}${isList ? "]" : "}"}`);
  };
  print(value, 0);
  return out.join("");
}

/** What `metadata[bindings][][name]` and its like mean. */
type Value = string | Value[] | { [key: string]: Value };

/**
 * The `cloudflare` SDK writes an object into a form as `metadata[a][b]=c`, with `[]` for lists. Within a list of objects
 * the next one begins where a key comes a second time, as in every server that reads this convention.
 */
export function readBracketForm(entries: Iterable<[string, string]>, root: string): Record<string, Value> | null {
  const result: Record<string, Value> = Object.create(null);
  let found = false;
  for (const [key, value] of entries) {
    if (!key.startsWith(`${root}[`)) continue;
    const path = [...key.slice(root.length).matchAll(/\[([^\]]*)\]/g)].map(([, part]) => part ?? "");
    found = true;
    put(result, path, value);
  }
  return found ? result : null;
}

function put(into: Record<string, Value>, [key = "", ...rest]: readonly string[], value: string): void {
  if (rest.length === 0) {
    into[key] = value;
    return;
  }
  if (rest[0] !== "") {
    const child = into[key];
    put(isObject(child) ? child : (into[key] = Object.create(null) as Record<string, Value>), rest, value);
    return;
  }
  const found = into[key];
  const list: Value[] = Array.isArray(found) ? found : (into[key] = []);
  const inner = rest.slice(1);
  if (inner.length === 0) {
    list.push(value);
    return;
  }
  const last = list.at(-1);
  if (isObject(last) && !has(last, inner)) put(last, inner, value);
  else {
    const next = Object.create(null) as Record<string, Value>;
    list.push(next);
    put(next, inner, value);
  }
}

/** Whether the path is already taken; a list below it can always take one more. */
function has(value: Record<string, Value>, path: readonly string[]): boolean {
  let at: Value | undefined = value;
  for (const key of path) {
    if (key === "" || !isObject(at)) return false;
    at = at[key];
  }
  return at !== undefined;
}

function isObject(value: Value | undefined): value is Record<string, Value> {
  return typeof value === "object" && !Array.isArray(value);
}

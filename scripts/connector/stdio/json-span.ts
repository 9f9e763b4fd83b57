/**
 * Finds values in JSON text without parsing and serializing it, because messages must pass through unchanged to the byte
 * (integers beyond 2^53, whitespace, the order of keys). The text is decoded as `latin1`, so that positions in it are positions
 * of bytes. The text is assumed to be valid JSON. If it is not, the result is `null` or a meaningless span.
 */
export type Span = { readonly start: number; readonly end: number };

const BLANK = /[ \t\r\n]/;
const AFTER_SCALAR = /[,\]} \t\r\n]/g;
const STRING_STOP = /["\\]/g;
const NEST_STOP = /["{}[\]]/g;

/**
 * The spans of the values, by key, of the object that begins at `from` (after optional whitespace); `null` if there is no
 * object. With `wanted`, only of these keys: an object of a hostile server may have millions. Those of
 * which there is more than one value are added to `repeated`: parsers differ in which of them they take.
 */
export function membersOf(
  json: string,
  from = 0,
  wanted?: ReadonlySet<string>,
  repeated?: Set<string>,
): Map<string, Span> | null {
  let at = skipBlanks(json, from);
  if (json[at] !== "{") return null;
  const members = new Map<string, Span>();
  at = skipBlanks(json, at + 1);
  while (json[at] === '"') {
    const keyEnd = skipString(json, at);
    const start = skipBlanks(json, skipBlanks(json, keyEnd) + 1);
    const end = skipValue(json, start);
    const key = keyOf(json.slice(at, keyEnd));
    if (members.has(key)) repeated?.add(key);
    if (wanted?.has(key) !== false) members.set(key, { start, end });
    at = skipBlanks(json, end);
    if (json[at] !== ",") break;
    at = skipBlanks(json, at + 1);
  }
  return members;
}

/** The span of the value at `path`, starting from the object at the beginning of the text. */
export function spanAt(json: string, ...path: readonly string[]): Span | null {
  let span: Span | null = { start: 0, end: json.length };
  for (const key of path) {
    span = membersOf(json, span.start, new Set([key]))?.get(key) ?? null;
    if (span === null) return null;
  }
  return span;
}

/** The text with each span replaced. Spans must not overlap. */
export function splice(json: string, edits: readonly { readonly span: Span; readonly text: string }[]): string {
  let result = "";
  let at = 0;
  for (const { span, text } of edits.toSorted((a, b) => a.span.start - b.span.start)) {
    result += json.slice(at, span.start) + text;
    at = span.end;
  }
  return result + json.slice(at);
}

function skipBlanks(json: string, from: number): number {
  let at = from;
  while (at < json.length && BLANK.test(json[at] ?? "")) at += 1;
  return at;
}

function skipValue(json: string, from: number): number {
  const first = json[from];
  if (first === '"') return skipString(json, from);
  if (first !== "{" && first !== "[") return indexOf(AFTER_SCALAR, json, from);
  let depth = 0;
  let at = from;
  while (at < json.length) {
    at = indexOf(NEST_STOP, json, at);
    const sign = json[at];
    if (sign === '"') {
      at = skipString(json, at);
      continue;
    }
    depth += sign === "{" || sign === "[" ? 1 : -1;
    at += 1;
    if (depth === 0) return at;
  }
  return json.length;
}

/** The position after the string that begins at `from`. */
function skipString(json: string, from: number): number {
  let at = from + 1;
  while (at < json.length) {
    at = indexOf(STRING_STOP, json, at);
    if (json[at] === '"') return at + 1;
    at += 2; // skips the escape and the character after it
  }
  return json.length;
}

function indexOf(pattern: RegExp, json: string, from: number): number {
  pattern.lastIndex = from;
  return pattern.exec(json)?.index ?? json.length;
}

/** A key with its JSON escapes decoded; they are rare. */
function keyOf(text: string): string {
  if (!text.includes("\\")) return text.slice(1, -1);
  try {
    return String(JSON.parse(text));
  } catch {
    return text; // not a JSON string, so it matches no key
  }
}

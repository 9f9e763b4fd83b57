/**
 * Where things stand in JSON text, without parsing and writing it again: what passes through must keep its every byte
 * (integers beyond 2^53, blanks, order of keys). Positions are those of `latin1` text, so they are the bytes' own.
 * The text is known, or taken, to be JSON; where it isn't, the answer is `null` or a span that leads nowhere.
 */
export type Span = { readonly start: number; readonly end: number };

const BLANK = /[ \t\r\n]/;
const AFTER_SCALAR = /[,\]} \t\r\n]/g;
const STRING_STOP = /["\\]/g;
const NEST_STOP = /["{}[\]]/g;

/** The values of the object that begins at `from` (blanks before it allowed), by key; `null`: no object is there. */
export function membersOf(json: string, from = 0): Map<string, Span> | null {
  let at = skipBlanks(json, from);
  if (json[at] !== "{") return null;
  const members = new Map<string, Span>();
  at = skipBlanks(json, at + 1);
  while (json[at] === '"') {
    const keyEnd = skipString(json, at);
    const start = skipBlanks(json, skipBlanks(json, keyEnd) + 1);
    const end = skipValue(json, start);
    members.set(keyOf(json.slice(at, keyEnd)), { start, end });
    at = skipBlanks(json, end);
    if (json[at] !== ",") break;
    at = skipBlanks(json, at + 1);
  }
  return members;
}

/** The value that `path` leads to, from the object at the beginning of the text. */
export function spanAt(json: string, ...path: readonly string[]): Span | null {
  let span: Span | null = { start: 0, end: json.length };
  for (const key of path) {
    span = membersOf(json, span.start)?.get(key) ?? null;
    if (span === null) return null;
  }
  return span;
}

/** The text with each span replaced; spans do not overlap. */
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
    at += 2; // an escape and what it escapes
  }
  return json.length;
}

function indexOf(pattern: RegExp, json: string, from: number): number {
  pattern.lastIndex = from;
  return pattern.exec(json)?.index ?? json.length;
}

/** A key as it is meant; escapes in keys are rare, and JSON's own. */
function keyOf(text: string): string {
  if (!text.includes("\\")) return text.slice(1, -1);
  try {
    return String(JSON.parse(text));
  } catch {
    return text; // no JSON string, so no key that anybody looks for
  }
}

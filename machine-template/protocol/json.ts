/** Parsing of JSON that may turn out to be something else: a proxy's error page, a truncated file, a hostile peer's bytes. */

/**
 * Values in one JSON text, about. Parsed, each takes 50 to 100 bytes, so `[{},{},...]` takes twenty times its size, and a call or an answer of 16 MB
 * would use up the memory that all callers of an isolate share. Large texts in earnest consist of a few long strings: files, images.
 */
export const MAX_JSON_VALUES = 500_000;

/**
 * The value of `text`, or `undefined` when it is not JSON (no JSON text has that value) or has too many values. The caller decides what that
 * means.
 */
export function parseJson(text: string): unknown {
  if (hasTooManyValues(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // always a SyntaxError. Its message is dropped, because it quotes the text, which may hold secrets.
  }
}

const [QUOTE, BACKSLASH, COMMA, ARRAY, OBJECT] = [0x22, 0x5c, 0x2c, 0x5b, 0x7b];
const [ARRAY_END, OBJECT_END] = [0x5d, 0x7d];

/** Whether a JSON text has more than `MAX_JSON_VALUES` values. Of a text that is not JSON the answer means nothing. */
export function hasTooManyValues(text: string): boolean {
  if (text.length <= MAX_JSON_VALUES) return false; // each takes a character at least
  let values = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at);
    else if (code === COMMA || code === ARRAY || code === OBJECT) {
      // Every value but the first comes after one of these.
      values += 1;
      if (values > MAX_JSON_VALUES) return true;
    }
  }
  return false;
}

/** Whether a JSON text has arrays and objects in more levels than this. Of a text that is not JSON the answer means nothing. */
export function isNestedDeeper(text: string, levels: number): boolean {
  if (text.length <= 2 * levels) return false;
  let level = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at);
    else if (code === ARRAY_END || code === OBJECT_END) level -= 1;
    else if (code === ARRAY || code === OBJECT) {
      level += 1;
      if (level > levels) return true;
    }
  }
  return false;
}

/** The position of the quotation mark that ends a string, or of the text's end. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return end;
  }
  return text.length;
}

/** Whether `value` is a JSON object, and not an array, a primitive or `null`. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

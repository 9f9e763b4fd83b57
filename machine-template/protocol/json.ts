/** Parsing of JSON that may turn out to be something else: a proxy's error page, a truncated file, a hostile peer's bytes. */

/** The value of `text`, or `undefined` when it is not JSON (no JSON text has that value). The caller decides what that means. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // always a SyntaxError. Its message is dropped, because it quotes the text, which may hold secrets.
  }
}

/** Whether `value` is a JSON object, and not an array, a primitive or `null`. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Reading JSON from somewhere that may send anything: a peer, a proxy's error page, a file that was cut off. */

/** The value that `text` encodes, or `undefined` (which no JSON text encodes) when it is not JSON. The caller says what that means. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // a SyntaxError and nothing else; its message quotes the text, which may hold secrets
  }
}

/** Whether `value` is a JSON object, as opposed to an array, a primitive or nothing. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

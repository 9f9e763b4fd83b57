/** Parses JSON with comments and trailing commas, as Wrangler's configuration files are written. */
export function parseJsonc(text: string): unknown {
  // The pattern matches strings first and keeps them, so text like a comment inside a string stays.
  const plain = text.replaceAll(
    /("(?:\\.|[^"\\])*")|\/\/[^\n]*|\/\*[\s\S]*?\*\//g,
    (_all, string?: string) => string ?? " ",
  );
  const strict = plain.replaceAll(/("(?:\\.|[^"\\])*")|,(?=\s*[}\]])/g, (_all, string?: string) => string ?? "");
  return JSON.parse(strict);
}

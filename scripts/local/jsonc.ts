/** Parses JSON with comments and trailing commas, as Wrangler's configuration files are written. */
export function parseJsonc(text: string): unknown {
  // Strings are matched first and kept, so that what looks like a comment inside one stays.
  const plain = text.replaceAll(
    /("(?:\\.|[^"\\])*")|\/\/[^\n]*|\/\*[\s\S]*?\*\//g,
    (_all, string?: string) => string ?? " ",
  );
  const strict = plain.replaceAll(/("(?:\\.|[^"\\])*")|,(?=\s*[}\]])/g, (_all, string?: string) => string ?? "");
  return JSON.parse(strict);
}

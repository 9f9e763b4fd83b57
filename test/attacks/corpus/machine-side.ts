/**
 * What broke a parser on a machine once, or comes close to what one accepts. The property tests try each before they try random
 * input. Add whatever is found.
 */

/** Files of `codez` and `codez serve`: profiles, locks, policies, spools, transcripts. */
export const FILES: readonly string[] = [
  "",
  "\u0000",
  "\ufeff{}",
  "null",
  "[]",
  "[[]]",
  "0",
  '"text"',
  "{",
  "{}",
  "{}\n{}",
  '{"__proto__":{"readOnly":false}}',
  '{"constructor":{"prototype":{}}}',
  '{"pid":0,"started":null,"sinceMs":0,"state":"online","detail":""}',
  '{"pid":-1,"started":null,"sinceMs":0,"state":"online","detail":""}',
  '{"pid":1,"started":null,"sinceMs":9007199254740991,"state":"online","detail":""}',
  '{"pid":1e400,"started":null,"sinceMs":0,"state":"online","detail":""}',
  '{"stream":"","last":0,"cursor":null}',
  '{"stream":"s","last":-5,"cursor":null}\n{"seq":-3,"cursor":null,"events":[]}',
  '{"stream":"s","last":9007199254740991,"cursor":null}',
  '{"type":"user","message":{"role":"user","content":{"__proto__":1}}}',
  '{"type":"assistant","timestamp":"+275760-09-13T00:00:00.001Z","message":{"content":[]}}',
  '{"type":"assistant","message":{"usage":{"input_tokens":1e309}}}',
  `{"hub":"javascript:alert(1)"}`,
  `${"[".repeat(20_000)}${"]".repeat(20_000)}`,
];

/** Targets of the symbolic link that stands for a lock on a full disk. */
export const LOCK_LINKS: readonly string[] = [
  "codez:o::",
  "codez:o:0:",
  "codez:o:-1:",
  "codez:o:1.5:",
  "codez:o:1e3:",
  "codez:o:0x10:",
  "codez:o: 1:",
  "codez:x:1:",
  "codez:o:99999999999999999999:",
  "/etc/passwd",
  "../..",
];

/** Times that a hub or an MCP server claims, as numbers. */
export const TIMES: readonly number[] = [
  -1,
  0,
  0.5,
  1e12,
  8_640_000_000_000_000,
  8_640_000_000_000_001,
  Number.MAX_SAFE_INTEGER,
  1e300,
  Number.MAX_VALUE,
  5e-324,
];

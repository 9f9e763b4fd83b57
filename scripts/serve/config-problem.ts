import type * as z from "zod";
import { isRecord } from "#protocol/json.ts";
import { nearest } from "../system/nearest.ts";
import { ServeConfig } from "./config.ts";

const KEYS = Object.keys(ServeConfig.shape);

/** What is wrong with a `serve.json`, a line each: the setting, what was found, and what to write instead. */
export function problemsIn({ issues }: z.ZodError, json: unknown): string[] {
  return issues.flatMap((issue) => {
    if (issue.code === "unrecognized_keys") return issue.keys.map((key) => unknownKey(key));
    const name = issue.path.map(String).join(".");
    if (name === "") return [`the file must contain one object: { "readOnly": true }`];
    const found = valueAt(json, issue.path);
    return [`"${name}" is ${shown(found)}: ${messageOf(issue, found)}`];
  });
}

function unknownKey(key: string): string {
  const near = nearest(key, KEYS);
  const hint = near === null ? `The settings are: ${KEYS.join(", ")}.` : `Did you mean "${near}"?`;
  return `${shown(key)} is not a setting. ${hint}`;
}

function messageOf(issue: z.core.$ZodIssue, found: unknown): string {
  if (issue.code !== "invalid_value") return issue.message;
  const options = issue.values.map(String);
  const near = typeof found === "string" ? nearest(found, options) : null;
  return `it must be one of ${options.join(", ")}.${near === null ? "" : ` Did you mean "${near}"?`}`;
}

function valueAt(json: unknown, path: readonly PropertyKey[]): unknown {
  let value = json;
  for (const key of path) value = isRecord(value) || Array.isArray(value) ? Reflect.get(value, key) : undefined;
  return value;
}

/** A value as JSON, short enough for a line. */
function shown(value: unknown): string {
  const json = JSON.stringify(value) ?? "missing";
  return json.length <= 60 ? json : `${json.slice(0, 59)}…`;
}

/**
 * Settings that a JSON object names twice. `JSON.parse` takes the last and says nothing, and its owner may be looking at the first.
 * `text` is valid JSON.
 */
export function repeatedKeys(text: string): string[] {
  const seen = new Set<string>();
  const repeated = new Set<string>();
  let depth = 0;
  // Strings with what may follow one that is a key, and brackets. Everything else cannot contain either.
  for (const [token, quoted, colon] of text.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?|[[\]{}]/g)) {
    if (token === "{" || token === "[") depth += 1;
    else if (token === "}" || token === "]") depth -= 1;
    else if (depth === 1 && colon !== undefined && quoted !== undefined) {
      const key = String(JSON.parse(quoted));
      if (seen.has(key)) repeated.add(key);
      seen.add(key);
    }
  }
  return [...repeated].map((key) => `${shown(key)} is there twice. Keep one of them.`);
}

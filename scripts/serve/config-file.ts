import { readFileSync, statSync } from "node:fs";
import { parseJson } from "#protocol/json.ts";
import { isMissing } from "../system/is-missing.ts";
import { whyNotTrusted } from "../system/trusted-file.ts";
import { closed, ServeConfig } from "./config.ts";
import { problemsIn, repeatedKeys } from "./config-problem.ts";

/** `serve.json` is a page at most. A larger file is something else. */
const MAX_BYTES = 256 * 1024;

/** How often a running serve looks whether its file changed. One `stat` call; a person who edits the file sees the answer at once. */
const WATCH_MS = 1_000;

/** `serve.json` is invalid. The message tells its owner why, and what to write instead. */
export class ConfigInvalid extends Error {
  override readonly name = "ConfigInvalid";
}

/**
 * Reads `serve.json`, all of it or nothing: one wrong setting makes the whole file invalid, because a policy without one of its
 * restrictions is another policy. A missing file counts as an empty one. Throws ConfigInvalid.
 */
export function readConfig(path: string): ServeConfig {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return ServeConfig.parse({});
  // A policy that others could have written is theirs and not its owner's.
  const distrust = stat.size > MAX_BYTES ? `it is larger than ${MAX_BYTES / 1024} KiB` : whyNotTrusted(path, stat);
  if (distrust !== null) throw new ConfigInvalid(`${path} is not used: ${distrust}`);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return ServeConfig.parse({});
    throw new ConfigInvalid(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  const json = parseJson(text);
  if (json === undefined) throw new ConfigInvalid(`${path} is not JSON. Look for a missing comma, quote or bracket.`);
  return configIn(json, path, repeatedKeys(text));
}

/**
 * The configuration in a JSON value. `where` is the name under which it is complained about, `known` what is wrong with it already.
 * Throws ConfigInvalid.
 */
export function configIn(json: unknown, where: string, known: readonly string[] = []): ServeConfig {
  const parsed = ServeConfig.safeParse(json);
  const problems = [...known, ...(parsed.success ? [] : problemsIn(parsed.error, json))];
  if (parsed.success && problems.length === 0) return parsed.data;
  throw new ConfigInvalid([`${where} is not right:`, ...problems.map((problem) => `  ${problem}`)].join("\n"));
}

/**
 * The current configuration. The file is read again whenever it changes, because an owner who turns something off expects that to
 * take effect immediately. While the file is invalid, remote clients can read and do nothing else, and `problem` says why.
 */
export class ConfigFile {
  readonly path: string;
  readonly #overrides: Partial<ServeConfig>;
  #valid: ServeConfig;
  #current: ServeConfig;
  #readAt: string;
  #problem: string | null = null;

  /** Throws ConfigInvalid. */
  constructor(path: string, overrides: Partial<ServeConfig> = {}) {
    this.path = path;
    this.#overrides = overrides;
    this.#readAt = versionOf(path);
    this.#valid = { ...readConfig(path), ...overrides };
    this.#current = this.#valid;
  }

  get current(): ServeConfig {
    const version = versionOf(this.path);
    if (version === this.#readAt) return this.#current;
    const wasThere = this.#readAt !== "";
    this.#readAt = version;
    try {
      // Also between the two steps of an editor that deletes a file before it writes the new one.
      if (wasThere && version === "")
        throw new ConfigInvalid(`${this.path} is gone. To go on without one, write {} into it, or start serve again.`);
      this.#valid = { ...readConfig(this.path), ...this.#overrides };
      this.#current = this.#valid;
      this.#problem = null;
    } catch (error) {
      if (!(error instanceof ConfigInvalid)) throw error;
      this.#current = closed(this.#valid);
      this.#problem = `until this is corrected, clients can only read: ${error.message}`;
    }
    return this.#current;
  }

  /** Why the file is invalid; `null` while it is valid. Reads it if it has changed. */
  get problem(): string | null {
    void this.current;
    return this.#problem;
  }
}

/**
 * Calls `told` soon after the file becomes invalid (why) or valid again (`null`), also while no call asks for the configuration.
 * The returned function ends that.
 */
export function watchConfig(config: ConfigFile, told: (problem: string | null) => void): () => void {
  let last = config.problem;
  const timer = setInterval(() => {
    if (config.problem === last) return;
    last = config.problem;
    told(last);
  }, WATCH_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** Changes whenever the file does. The time alone is too coarse for two writes in the same millisecond. */
function versionOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? "" : [stat.mtimeMs, stat.ctimeMs, stat.size, stat.ino, stat.mode, stat.uid].join(" ");
}

import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import * as z from "zod";
import { isRecord, parseJson } from "#protocol/json.ts";
import { writePrivately } from "../../system/atomic-file.ts";
import { codezHome } from "../../system/home.ts";
import { NotTrusted, readTrustedFile } from "../../system/trusted-file.ts";
import { ExitCode } from "../exit-code.ts";
import { CodezFailure } from "../failure.ts";

/** The event at which both agents run hooks when they would ask the person at the terminal. */
const EVENT = "PermissionRequest";

/** How the command of our hook ends. By it an entry is recognised as ours, whatever path stands before it. */
const MARK = "hooks answer";

/** The file as it was, and as it was left: kept to give it back byte for byte. `before` is `null` if there was none. */
const Kept = z.object({ path: z.string(), before: z.string().nullable(), after: z.string() });

/**
 * The file in which an agent's hooks are written: Claude Code's `settings.json`, Codex's `hooks.json`. Both have the same shape. Everything
 * else in the file stays as it is, and `remove` gives back the file of before, byte for byte, if nobody has changed it since.
 */
export class HookFile {
  readonly path: string;
  readonly #kept: string;

  constructor(path: string, home: string = codezHome()) {
    // A settings file is often a link into a folder of dotfiles. The link stays.
    this.path = existsSync(path) ? realpathSync(path) : path;
    const name = createHash("sha256").update(path).digest("hex").slice(0, 16);
    this.#kept = join(home, "hooks", `${name}.json`);
  }

  get isInstalled(): boolean {
    return entriesOf(this.#read().settings).some(isOurs);
  }

  /** Adds the hook, or replaces an earlier one. `timeoutS`: after so many seconds the agent ends the hook. Throws `CodezFailure`. */
  install(command: string, timeoutS: number): void {
    const { text, settings } = this.#read();
    const hooks = isRecord(settings["hooks"]) ? settings["hooks"] : {};
    const others = entriesOf(settings).filter((entry) => !isOurs(entry));
    const own = { hooks: [{ type: "command", command: `${command} ${MARK}`, timeout: timeoutS }] };
    const next = { ...settings, hooks: { ...hooks, [EVENT]: [...others, own] } };
    const after = `${JSON.stringify(next, null, indentOf(text))}\n`;
    const kept = this.#keptFile();
    // Installed twice: what was there before the first time is what has to come back.
    const before = kept !== null && kept.after === text ? kept.before : text;
    writePrivately(this.#kept, JSON.stringify({ path: this.path, before, after } satisfies z.infer<typeof Kept>));
    this.#write(after);
  }

  /** Removes the hook. Returns whether there was one. Throws `CodezFailure`. */
  remove(): boolean {
    const { text, settings } = this.#read();
    const kept = this.#keptFile();
    if (kept !== null && kept.after === text) {
      if (kept.before === null) rmSync(this.path);
      else this.#write(kept.before);
      rmSync(this.#kept, { force: true });
      return true;
    }
    const entries = entriesOf(settings);
    const others = entries.filter((entry) => !isOurs(entry));
    rmSync(this.#kept, { force: true });
    if (others.length === entries.length) return false;
    // Somebody has changed the file since, so only our entry goes.
    const { [EVENT]: _, ...events } = isRecord(settings["hooks"]) ? settings["hooks"] : {};
    const hooks = others.length === 0 ? events : { ...events, [EVENT]: others };
    const { hooks: __, ...rest } = settings;
    const next = Object.keys(hooks).length === 0 ? rest : { ...rest, hooks };
    this.#write(`${JSON.stringify(next, null, indentOf(text))}\n`);
    return true;
  }

  #read(): { text: string | null; settings: Record<string, unknown> } {
    if (!existsSync(this.path)) return { text: null, settings: {} };
    const text = readFileSync(this.path, "utf8");
    const settings = text.trim() === "" ? {} : parseJson(text);
    const isUsable = isRecord(settings) && (settings["hooks"] === undefined || isRecord(settings["hooks"]));
    if (isUsable) return { text, settings };
    throw new CodezFailure(
      ExitCode.USAGE,
      `${this.path} is not a settings file of this agent as codez knows it. Nothing was changed.`,
      "Correct the file, then run this again.",
    );
  }

  #keptFile(): z.infer<typeof Kept> | null {
    try {
      return Kept.safeParse(parseJson(readTrustedFile(this.#kept) ?? "")).data ?? null;
    } catch (reason) {
      // What somebody else wrote there would become the agent's settings, and with it a command that the agent runs.
      if (reason instanceof NotTrusted) return null;
      throw reason;
    }
  }

  /** Replaces the file at once, so that an agent which starts now reads the old one or the new one. Its mode stays. */
  #write(text: string): void {
    mkdirSync(dirname(this.path), { recursive: true });
    const fresh = `${this.path}.${process.pid}.new`;
    const mode = existsSync(this.path) ? statSync(this.path).mode & 0o777 : 0o600;
    writeFileSync(fresh, text, { mode });
    renameSync(fresh, this.path);
  }
}

/** The hooks of our event. */
function entriesOf(settings: Record<string, unknown>): unknown[] {
  const hooks = isRecord(settings["hooks"]) ? settings["hooks"] : {};
  return Array.isArray(hooks[EVENT]) ? (hooks[EVENT] as unknown[]) : [];
}

function isOurs(entry: unknown): boolean {
  const hooks = isRecord(entry) && Array.isArray(entry["hooks"]) ? (entry["hooks"] as unknown[]) : [];
  return hooks.some((hook) => isRecord(hook) && typeof hook["command"] === "string" && hook["command"].endsWith(MARK));
}

/** The indentation that the file uses. */
function indentOf(text: string | null): string {
  return /^[{[]\r?\n([ \t]+)/.exec(text ?? "")?.[1] ?? "  ";
}

import { chmodSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs"; // prettier-ignore
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ServeConfig } from "../../../scripts/serve/config.ts";
import { ConfigFile, ConfigInvalid, readConfig, watchConfig } from "../../../scripts/serve/config-file.ts";

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "codez-config-"));
  path = join(folder, "serve.json");
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Everything that lets a remote client do more than read is off. */
const CLOSED = { readOnly: true, drive: [], commands: [], trust: [], respondPermission: false, answerOnPages: false };

function problemOf(text: string): string {
  writeFileSync(path, text);
  try {
    readConfig(path);
  } catch (reason) {
    if (reason instanceof ConfigInvalid) return reason.message;
    throw reason;
  }
  return "none";
}

describe("serve.json", () => {
  it("is optional: without it, permissions are asked of the owner at this computer", () => {
    const { projects, drive, readOnly, respondPermission, maxPermissionMode, commands, trust } = readConfig(path);
    expect({ projects, drive, readOnly, respondPermission, maxPermissionMode, commands, trust }).toEqual({
      projects: [],
      drive: undefined,
      readOnly: false,
      respondPermission: false,
      maxPermissionMode: "default",
      commands: [],
      trust: [],
    });
  });

  it.each([
    ['{"readonly": true}', `"readonly" is not a setting. Did you mean "readOnly"?`],
    ['{"maxPermisionMode": "plan"}', `"maxPermisionMode" is not a setting. Did you mean "maxPermissionMode"?`],
    ['{"respondPermissions": false}', `Did you mean "respondPermission"?`],
    ['{"colour": 1}', `"colour" is not a setting. The settings are: port, projects, drive, readOnly`],
    ['{"__proto__": {"readOnly": false}}', `"__proto__" is not a setting`],
    ['{"readOnly": "yes"}', `"readOnly" is "yes": `],
    ['{"maxPermissionMode": "acceptedits"}', `Did you mean "acceptEdits"?`],
    ['{"maxPermissionMode": "everything"}', "it must be one of plan, dontAsk, default"],
    ['{"port": 70000}', `"port" is 70000: `],
    ['{"drive": "~/src"}', `"drive" is "~/src": `],
    ['{"drive": [""]}', `"drive.0" is "": `],
    ['{"commands": ["/compact"]}', "a command's name, without the slash"],
    ['{"readOnly": true, "readOnly": false}', `"readOnly" is there twice`],
    ['{"readOnly": true, "read\\u004fnly": false}', `"readOnly" is there twice`],
    ["{", "is not JSON"],
    ["", "is not JSON"],
    ["[]", "must contain one object"],
    ["null", "must contain one object"],
    ['"readOnly"', "must contain one object"],
  ])("%s is refused with the mistake: %s", (text, expected) => {
    expect(problemOf(text)).toContain(expected);
    expect(() => new ConfigFile(path)).toThrow(ConfigInvalid);
  });

  it("with several mistakes is refused with all of them", () => {
    const problem = problemOf('{"readOnly": 1, "prot": 4098, "idleMinutes": -1}');
    for (const name of ["readOnly", "prot", "idleMinutes"]) expect(problem).toContain(`"${name}"`);
  });

  it("is not confused by a folder name that looks like a repeated setting", () => {
    expect(problemOf('{"projects": ["/a\\"readOnly\\": ", "/{"], "readOnly": true}')).toBe("none");
  });

  it.each([0o620, 0o602, 0o666])("that others may write (%o) is not used in a folder that they may enter", (mode) => {
    writeFileSync(path, "{}");
    chmodSync(path, mode);
    expect(readConfig(path).readOnly).toBe(false); // others cannot enter the folder
    chmodSync(folder, 0o755);
    expect(() => readConfig(path)).toThrow("others may write it");
  });

  it("is not used in a folder that others may write, because they may replace it", () => {
    writeFileSync(path, "{}");
    chmodSync(folder, 0o777);
    expect(() => readConfig(path)).toThrow("others may replace it");
  });

  it("is refused if it is a folder or far too large", () => {
    mkdirSync(path);
    expect(() => readConfig(path)).toThrow("not a regular file");
    rmSync(path, { recursive: true });
    expect(problemOf(`{"projects": ["${"x".repeat(300_000)}"]}`)).toContain("larger than 256 KiB");
  });
});

describe("while serve runs", () => {
  it("an edit takes effect at once, and an invalid edit allows clients only to read", () => {
    writeFileSync(path, '{"respondPermission": true, "trust": ["/tmp"], "commands": ["compact"]}');
    const config = new ConfigFile(path);
    expect(config.current.respondPermission).toBe(true);
    writeFileSync(path, '{"respondPermision": false}');
    expect(config.current).toMatchObject(CLOSED);
    expect(config.problem).toMatch(/clients can only read.*\n.*Did you mean "respondPermission"/);
    writeFileSync(path, '{"respondPermission": false}');
    expect(config.current).toMatchObject({ readOnly: false, respondPermission: false });
    expect(config.problem).toBeNull();
  });

  it("so does an edit that leaves the file's length and time as they were, and that others may write it", () => {
    const [draft, epoch] = [join(folder, "draft"), new Date(0)];
    writeFileSync(path, '{"readOnly": false}');
    utimesSync(path, epoch, epoch);
    const config = new ConfigFile(path);
    expect(config.current.readOnly).toBe(false);
    writeFileSync(draft, '{"readOnly": true }');
    utimesSync(draft, epoch, epoch);
    renameSync(draft, path);
    expect(config.current.readOnly).toBe(true);
    chmodSync(folder, 0o755);
    chmodSync(path, 0o666);
    expect(config.problem).toContain("others may write it");
  });

  it("a missing file does the same, because an editor may be between deleting and writing it", () => {
    writeFileSync(path, '{"readOnly": true}');
    const config = new ConfigFile(path);
    rmSync(path);
    expect(config.current).toMatchObject(CLOSED);
    expect(config.problem).toContain("is gone");
    writeFileSync(path, "{}");
    expect(config.current.readOnly).toBe(false);
  });

  it("a command-line flag overrides the file", () => {
    writeFileSync(path, '{"readOnly": false}');
    expect(new ConfigFile(path, { readOnly: true }).current.readOnly).toBe(true);
  });

  it("its owner is told of a mistake once, without asking, and when it is corrected", async () => {
    const config = new ConfigFile(path);
    const told: (string | null)[] = [];
    const stop = watchConfig(config, (problem) => told.push(problem));
    writeFileSync(path, '{"readOnly": tru}');
    await expect.poll(() => told).toEqual([expect.stringContaining("is not JSON")]);
    writeFileSync(path, '{"readOnly": true}');
    await expect.poll(() => told).toEqual([expect.any(String), null]);
    stop();
  });
});

it("policy.md explains every setting with its default, and no other setting", () => {
  const page = readFileSync(new URL("../../../scripts/serve/policy.md", import.meta.url), "utf8");
  const rows = [...page.matchAll(/^\| `(\w+)` +\| (.+?) +\|/gm)].map(([, name, value]) => [name, value]);
  const defaults = ServeConfig.parse({});
  const expected = Object.keys(ServeConfig.shape).map((name) => {
    const value: unknown = Reflect.get(defaults, name);
    return [name, value === undefined ? "every known project" : `\`${JSON.stringify(value)}\``];
  });
  expect(rows.sort()).toEqual(expected.sort());
});

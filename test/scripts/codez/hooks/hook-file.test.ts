import { chmodSync, existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HookFile } from "../../../../scripts/codez/hooks/hook-file.ts";
import { temporaryFolder } from "../../connector/support/temporary-folder.ts";

describe("a settings file with hooks", () => {
  let folder: ReturnType<typeof temporaryFolder>;
  let path: string;
  beforeEach(() => {
    folder = temporaryFolder();
    path = join(folder.path, "settings.json");
  });
  afterEach(() => folder[Symbol.dispose]());

  const file = (): HookFile => new HookFile(path, join(folder.path, "codez"));
  const read = (): Record<string, unknown> => JSON.parse(readFileSync(path, "utf8"));

  it("gets the hook with an explicit timeout, beside everything that is there", () => {
    const other = { matcher: "Bash", hooks: [{ type: "command", command: "other" }] };
    writeFileSync(path, JSON.stringify({ model: "opus", hooks: { PermissionRequest: [other], Stop: [other] } }));
    file().install('"node" "codez.js"', 3_600);
    const own = { hooks: [{ type: "command", command: '"node" "codez.js" hooks answer', timeout: 3_600 }] };
    expect(read()).toEqual({ model: "opus", hooks: { PermissionRequest: [other, own], Stop: [other] } });
    expect(file().isInstalled).toBe(true);
  });

  it("is byte for byte as it was after the hook is removed, whatever was in it, and however often it was installed", () => {
    const settings = fc.dictionary(fc.constantFrom("model", "hooks2", "env", "permissions"), fc.jsonValue());
    const hooks = fc.option(
      fc.dictionary(fc.constantFrom("Stop", "PermissionRequest"), fc.array(fc.jsonValue(), { maxLength: 3 })),
      { nil: undefined },
    );
    fc.assert(
      fc.property(
        settings,
        hooks,
        fc.constantFrom(undefined, 2, 4, "\t"),
        fc.constantFrom("", "\n", "\r\n\n"),
        fc.integer({ min: 1, max: 3 }),
        (some, events, indent, end, times) => {
          const before = JSON.stringify(events === undefined ? some : { ...some, hooks: events }, null, indent) + end;
          writeFileSync(path, before);
          for (let time = 0; time < times; time += 1) file().install(`"codez ${time}"`, 60);
          expect(file().isInstalled).toBe(true);
          expect(file().remove()).toBe(true);
          expect(readFileSync(path, "utf8")).toBe(before);
          expect(file().remove()).toBe(false);
        },
      ),
    );
  });

  it("is gone again if there was none", () => {
    file().install("codez", 60);
    expect(existsSync(path)).toBe(true);
    file().remove();
    expect(existsSync(path)).toBe(false);
  });

  it("loses only the hook if somebody changed it since", () => {
    writeFileSync(path, '{"model": "opus"}');
    file().install("codez", 60);
    writeFileSync(path, JSON.stringify({ ...read(), model: "sonnet" }));
    expect(file().remove()).toBe(true);
    expect(read()).toEqual({ model: "sonnet" });
  });

  it("is replaced through a link, keeps its mode, and is not touched if it is broken", () => {
    const real = join(folder.path, "dotfiles.json");
    writeFileSync(real, "{}\n");
    chmodSync(real, 0o644);
    symlinkSync(real, path);
    file().install("codez", 60);
    expect([readFileSync(real, "utf8").includes("hooks answer"), statSync(real).mode & 0o777]).toEqual([true, 0o644]);
    file().remove();
    for (const broken of ["{", "[]", '{"hooks": 7}']) {
      writeFileSync(real, broken);
      expect(() => file().install("codez", 60)).toThrow("Nothing was changed");
      expect(readFileSync(real, "utf8")).toBe(broken);
    }
  });
});

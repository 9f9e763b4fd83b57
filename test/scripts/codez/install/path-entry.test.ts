import { existsSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { addToPath, removeFromPath } from "../../../../scripts/codez/install/path-entry.ts";
import { temporaryFolder } from "../../connector/support/temporary-folder.ts";

const COMMAND = "/home/dana o'neill/.codez/bin/codez";

describe("terminals find codez", () => {
  it("through a link, if a personal folder is already on the PATH", () => {
    using home = temporaryFolder();
    const here = { env: { PATH: `/usr/bin:${join(home.path, ".local/bin")}`, SHELL: "/bin/bash" }, home: home.path };
    const link = join(home.path, ".local/bin/codez");
    for (let time = 0; time < 2; time += 1) expect(addToPath(COMMAND, here)).toEqual({ kind: "link", path: link });
    expect(readlinkSync(link)).toBe(COMMAND);
    expect(existsSync(join(home.path, ".bashrc"))).toBe(false);
    expect(removeFromPath(COMMAND, here)).toEqual([{ kind: "link", path: link }]);
    expect(existsSync(link)).toBe(false);
  });

  it.each([
    ["/bin/bash", ".bashrc", "export PATH="],
    ["/usr/bin/zsh", ".zshrc", "export PATH="],
    ["/usr/bin/fish", ".config/fish/conf.d/codez.fish", "fish_add_path "],
    ["/bin/dash", ".profile", "export PATH="],
  ])("through one line for %s, which is removed without a trace", (shell, file, start) => {
    using home = temporaryFolder();
    const here = { env: { PATH: "/usr/bin", SHELL: shell }, home: home.path };
    const path = join(home.path, file);
    const before = "alias ll='ls -l'"; // without a line break at its end, as people leave it
    if (!file.includes("/")) writeFileSync(path, before);
    for (let time = 0; time < 2; time += 1) expect(addToPath(COMMAND, here)).toEqual({ kind: "line", path });
    const lines = readFileSync(path, "utf8").split("\n");
    expect(lines.filter((line) => line.startsWith(start))).toHaveLength(1);
    expect(removeFromPath(COMMAND, here)).toEqual([{ kind: "line", path }]);
    if (file.includes("/")) expect(existsSync(path)).toBe(false);
    else expect(readFileSync(path, "utf8").trimEnd()).toBe(before);
    expect(removeFromPath(COMMAND, here)).toEqual([]);
  });

  it("through a line, if another program's codez has the link's place, and keeps it", () => {
    using home = temporaryFolder();
    const folder = join(home.path, "bin");
    mkdirSync(folder);
    writeFileSync(join(folder, "codez"), "another program");
    const here = { env: { PATH: folder, SHELL: "/bin/bash" }, home: home.path };
    expect(addToPath(COMMAND, here).kind).toBe("line");
    removeFromPath(COMMAND, here);
    expect(readFileSync(join(folder, "codez"), "utf8")).toBe("another program");
  });
});

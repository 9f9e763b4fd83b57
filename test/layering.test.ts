import { globSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

/** Folders are runtimes: what lies in one runs together. The longest match is a file's runtime. */
const RUNTIMES = ["machine-template/protocol", "machine-template", "dispatch-worker", "control-api", "scripts", "test"];

const ROOT = fileURLToPath(new URL("..", import.meta.url));

const SOURCES = globSync("{machine-template,dispatch-worker,control-api,scripts,test}/**/*.{ts,js,mjs}", {
  cwd: ROOT,
  exclude: (path) => /(?:^|[\\/])(?:node_modules|build|\.wrangler)$/.test(path),
}).map((path) => path.replaceAll("\\", "/"));

/** `import ... from`, `export ... from`, `import "..."`, `import("...")`; those of types too. */
const IMPORT = /(?:^|[;\n])\s*(?:import|export)\b(?:[^"';]*?\bfrom)?\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/g;

function importsOf(source: string): string[] {
  return Array.from(source.matchAll(IMPORT), ([, from, called]) => from ?? called ?? "");
}

function runtimeOf(path: string): string | undefined {
  return RUNTIMES.find((folder) => path.startsWith(`${folder}/`));
}

/** What is wrong with `file` importing `specifier`, or `null`. */
function violation(file: string, specifier: string): string | null {
  const from = runtimeOf(file);
  if (from === "test") return null; // tests look at everything
  if (specifier.startsWith(".") || specifier.startsWith("/")) {
    const target = posix.join(posix.dirname(file), specifier);
    if (target.startsWith("test/")) return "nothing imports test";
    return runtimeOf(target) === from
      ? null
      : "a relative import leaves its runtime folder; runtimes meet at #protocol/*";
  }
  if (specifier.startsWith("#")) {
    if (from === "machine-template/protocol") return "protocol imports its own files by relative paths";
    return specifier.startsWith("#protocol/") ? null : "there is no such folder to share";
  }
  if (from === "machine-template/protocol")
    return specifier === "zod" || specifier.startsWith("zod/") ? null : "protocol imports zod alone";
  return null;
}

describe("the rules", () => {
  it.each([
    ["dispatch-worker/src/app.ts", "../../control-api/src/app.ts"],
    ["control-api/src/app.ts", "../../machine-template/src/env.ts"],
    ["control-api/src/app.ts", "../../machine-template/protocol/slug.ts"],
    ["machine-template/src/app.ts", "../protocol/slug.ts"],
    ["machine-template/protocol/slug.ts", "../src/link.ts"],
    ["machine-template/protocol/slug.ts", "#protocol/error.ts"],
    ["machine-template/protocol/slug.ts", "cloudflare:workers"],
    ["machine-template/protocol/slug.ts", "node:crypto"],
    ["machine-template/protocol/slug.ts", "zodiac"],
    ["scripts/codez/connect.ts", "../../control-api/src/env.ts"],
    ["scripts/codez/connect.ts", "../../test/peers/bin.ts"],
    ["scripts/codez/connect.ts", "#machine/link.ts"],
  ])("%s may not import %s", (file, specifier) => {
    expect(violation(file, specifier)).not.toBeNull();
  });

  it.each([
    ["dispatch-worker/src/app.ts", "#protocol/error.ts"],
    ["dispatch-worker/src/app.ts", "./env.ts"],
    ["control-api/src/machines/provisioning.ts", "../../build/machine.js.txt"],
    ["control-api/src/machines/provisioning.ts", "cloudflare"],
    ["machine-template/protocol/control.ts", "zod/mini"],
    ["machine-template/protocol/control.ts", "./event.ts"],
    ["scripts/serve/entry.ts", "node:fs"],
    ["test/dispatch-worker/app.test.ts", "../../dispatch-worker/src/app.ts"],
  ])("%s may import %s", (file, specifier) => {
    expect(violation(file, specifier)).toBeNull();
  });

  it("see every form of import", () => {
    const source = `import a from "./a.ts";
import type { B } from './b.ts';
import { type C,
  d } from "./c.ts";
export * from "./e.ts";
export type { F } from "./f.ts";
import "./g.ts";
const h = await import("./h.ts");
type I = import("./i.ts").I;
// "./not.ts"
const text = "from './neither.ts'";`;
    expect(importsOf(source)).toEqual(["a", "b", "c", "e", "f", "g", "h", "i"].map((name) => `./${name}.ts`));
  });
});

describe("the sources", () => {
  it.each(RUNTIMES)("of %s keep the rules", (runtime) => {
    const files = SOURCES.filter((path) => runtimeOf(path) === runtime);
    expect(files).not.toEqual([]);
    const broken = files.flatMap((file) =>
      importsOf(readFileSync(`${ROOT}/${file}`, "utf8")).flatMap((specifier) => {
        const why = violation(file, specifier);
        return why === null ? [] : [`${file} imports ${specifier}: ${why}`];
      }),
    );
    expect(broken).toEqual([]);
  });
});

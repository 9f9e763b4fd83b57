import { globSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { exportedValues, importedNames } from "./support/export-use.ts";
import { circlesIn, importsOf } from "./support/import-graph.ts";

/** Folders are runtimes: what lies in one runs together. The longest match is a file's runtime. */
const RUNTIMES = ["machine-template/protocol", "machine-template", "dispatch-worker", "control-api", "scripts", "test"];

/**
 * The rooms of a folder, and for each the others that it may import. Files beside the rooms are entries and what they
 * assemble: they may import every room. No room imports them, except those in `shared`.
 */
const ROOMS: Record<string, { rooms: Record<string, readonly string[]>; shared: readonly string[] }> = {
  "control-api/src": {
    rooms: {
      http: [],
      design: [],
      audit: ["http"],
      "sign-in": ["http", "design", "audit"],
      machines: ["http", "audit", "sign-in", "history"],
      // Waiting requests are derived from the events, in the same object and the same transaction.
      history: ["http", "inbox"],
      inbox: ["http", "machines", "history"],
      elicitation: ["http", "machines", "inbox"],
      enrolment: ["http", "sign-in", "machines"],
      delivery: ["http", "machines"],
      user: ["http", "audit", "sign-in", "machines", "history", "inbox", "elicitation", "delivery", "enrolment"],
      events: ["http", "machines", "history", "user"],
      rest: [
        "http",
        "audit",
        "sign-in",
        "machines",
        "history",
        "inbox",
        "delivery",
        "enrolment",
        "user",
        "events",
        "mcp-events",
        "webhooks",
        "costs",
      ],
      costs: ["http", "history", "machines", "user", "mcp"],
      "mcp-events": ["http", "audit", "machines", "user", "events"],
      push: ["design", "machines", "inbox"],
      webhooks: ["design", "http", "sign-in", "user", "mcp-events", "push"],
      mcp: ["http", "audit", "machines", "history", "inbox", "elicitation", "delivery", "user", "events", "mcp-events"],
      pages: [
        "http",
        "design",
        "audit",
        "sign-in",
        "machines",
        "history",
        "inbox",
        "user",
        "events",
        "mcp",
        "costs",
        "push",
        "webhooks",
      ],
    },
    shared: ["env.ts", "columns.ts"],
  },
  scripts: {
    rooms: {
      system: [],
      trust: ["system"],
      connector: ["system"],
      serve: ["system"],
      codez: ["system", "trust", "connector", "serve"],
      dependencies: [],
      build: ["system", "dependencies", "local"],
      front: ["system"],
      local: ["system", "front"],
      operator: ["system", "trust", "front", "local"],
      // Both read the Workers' wrangler.jsonc, with comments and all.
      deploy: ["system", "build", "operator", "connector", "local"],
      gates: [],
      cost: [],
      bench: ["system", "codez", "connector", "local"],
      chaos: ["system", "connector"],
    },
    shared: ["claim-code.ts", "mcp-failure.ts", "print.ts"],
  },
};

/** The only files of a room that other rooms may import. */
const DOORS: Record<string, readonly string[]> = {
  "scripts/connector": ["index.ts"],
  "scripts/serve": ["index.ts"],
  // The benchmark bundles one command by itself.
  "scripts/codez": ["main.ts", "commands/serve.ts"],
};

/** Sources that are bundled or uploaded as Workers. The runtime reads their exports; no file imports them. */
const WORKER_ENTRIES = [
  // Next.js calls it.
  "scripts/gates/next/proxy.ts",
  "test/peers/next/proxy.js",
  "machine-template/src/hosted/host.ts",
  "scripts/operator/templates/stateful/src/index.ts",
  "scripts/bench/bare-relay-worker.js",
  "scripts/local/dispatch-binding/guard.ts",
  "scripts/deploy/check/reports-worker.ts",
  "test/scripts/local/fixtures/machine.ts",
  "test/simulator/worker.ts",
  // The simulator puts these under the sources when they are loaded (test/simulator/transform.ts).
  "test/simulator/runtime/cloudflare.ts",
  "test/simulator/runtime/globals.ts",
  "test/simulator/runtime/workers.ts",
  "test/scripts/local/support/stand-in.ts",
];

const ROOT = fileURLToPath(new URL("..", import.meta.url));

const SOURCES = globSync("{machine-template,dispatch-worker,control-api,scripts,test}/**/*.{ts,tsx,js,mjs}", {
  cwd: ROOT,
  exclude: (path) => /(?:^|[\\/])(?:node_modules|\.wrangler|\.next)$/.test(path),
})
  .map((path) => path.replaceAll("\\", "/"))
  // A folder named `build` has output, except those with the sources of the build itself.
  .filter((path) => !/(?<!(?:^|\/)scripts)\/build\//.test(path));

function runtimeOf(path: string): string | undefined {
  return RUNTIMES.find((folder) => path.startsWith(`${folder}/`));
}

/** The file that an import leads to; of a package, its specifier as it is. */
function targetOf(file: string, specifier: string): string {
  if (specifier.startsWith("#protocol/")) return specifier.replace("#protocol", "machine-template/protocol");
  return specifier.startsWith(".") ? posix.join(posix.dirname(file), specifier) : specifier;
}

/** What is wrong with `file` importing `specifier`, or `null`. */
function violation(file: string, specifier: string): string | null {
  const from = runtimeOf(file);
  if (from === "test") return null; // tests look at everything
  if (specifier.startsWith(".") || specifier.startsWith("/")) {
    const target = posix.join(posix.dirname(file), specifier);
    if (target.startsWith("test/")) return "nothing imports test";
    if (runtimeOf(target) !== from) return "a relative import leaves its runtime folder; runtimes meet at #protocol/*";
    return roomViolation(file, target);
  }
  if (specifier.startsWith("#")) {
    if (from === "machine-template/protocol") return "protocol imports its own files by relative paths";
    if (file.startsWith("scripts/system/")) return "system knows nothing of Operator";
    return specifier.startsWith("#protocol/") ? null : "there is no such folder to share";
  }
  if (from === "machine-template/protocol")
    return specifier === "zod" || specifier.startsWith("zod/") ? null : "protocol imports zod alone";
  return null;
}

/** A file's place in a folder of rooms: its room, or `null` for a file beside them. */
function placeOf(path: string): { folder: string; room: string | null; rest: string } | null {
  const folder = Object.keys(ROOMS).find((one) => path.startsWith(`${one}/`));
  if (folder === undefined) return null;
  const [first = "", ...rest] = path.slice(folder.length + 1).split("/");
  return rest.length === 0 ? { folder, room: null, rest: first } : { folder, room: first, rest: rest.join("/") };
}

function roomViolation(file: string, target: string): string | null {
  const from = placeOf(file);
  const to = placeOf(target);
  if (from === null || to === null || from.room === null || from.room === to.room) return null;
  const { rooms, shared } = ROOMS[from.folder] ?? { rooms: {}, shared: [] };
  const allowed = rooms[from.room];
  if (allowed === undefined) return `${from.room} is not in the list of rooms`;
  if (to.room === null) return shared.includes(to.rest) ? null : "a room imports no file that assembles rooms";
  if (!allowed.includes(to.room)) return `${from.room} may not import ${to.room}`;
  const doors = DOORS[`${to.folder}/${to.room}`];
  return doors?.includes(to.rest) === false ? `${to.room} is entered by ${doors.join(" or ")}` : null;
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
    ["control-api/src/http/caller.ts", "../user/user.ts"],
    ["control-api/src/events/poll.ts", "../mcp/endpoint.ts"],
    ["control-api/src/user/user.ts", "../app.ts"],
    ["control-api/src/unheard-of/file.ts", "../http/caller.ts"],
    ["scripts/system/lock.ts", "../connector/clock.ts"],
    ["scripts/system/lock.ts", "#protocol/json.ts"],
    ["scripts/connector/link.ts", "../serve/index.ts"],
    ["scripts/serve/serve.ts", "../codez/main.ts"],
    ["scripts/codez/run-connector.ts", "../connector/link.ts"],
    ["scripts/local/operator.ts", "../serve/index.ts"],
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
    ["control-api/src/gate.ts", "./mcp/endpoint.ts"],
    ["control-api/src/mcp/endpoint.ts", "../env.ts"],
    ["control-api/src/mcp/endpoint.ts", "../http/caller.ts"],
    ["scripts/codez/run-connector.ts", "../connector/index.ts"],
    ["scripts/connector/stdio/child.ts", "../link.ts"],
    ["scripts/local/secrets.ts", "../claim-code.ts"],
    ["test/dispatch-worker/app.test.ts", "../../dispatch-worker/src/app.ts"],
  ])("%s may import %s", (file, specifier) => {
    expect(violation(file, specifier)).toBeNull();
  });

  it("recognize every form of import", () => {
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

describe("circles", () => {
  it.each([
    ["of two", { a: ["b"], b: ["a"] }, [["a", "b"]]],
    ["of one file with itself", { a: ["a"] }, [["a"]]],
    ["that an entry leads to", { e: ["a"], a: ["b"], b: ["c"], c: ["a"] }, [["a", "b", "c"]]],
    ["apart from each other", { a: ["b"], b: ["a", "c"], c: ["d"], d: ["c"] }, [["c", "d"], ["a", "b"]]], // prettier-ignore
    ["none, though two ways lead to a file", { a: ["b", "c"], b: ["d"], c: ["d"], d: [] }, []],
  ])("are found: %s", (_, graph, circles) => {
    expect(circlesIn(new Map(Object.entries(graph)))).toEqual(circles);
  });
});

describe("exports", () => {
  it("are recognized, like every form of their import", () => {
    const source = [
      "const a = 1;",
      "async function b() {}",
      "abstract class C {}",
      "type D = 1;",
      "const F = z.int();",
    ];
    const exported = [...source, "type F = 1;"].map((line) => `export ${line}`).join("\n");
    expect(exportedValues(`${exported}\nconst e = 2;`)).toEqual(["a", "b", "C"]);
    const user = `import { a, type B,
  c as d } from "./x.ts";
import e, { f } from "./y.ts";
export { g } from "./z.ts";
import * as all from "./all.ts";
await import("./later.ts");`;
    expect(importedNames(user).map(({ specifier, name }) => `${specifier} ${name}`)).toEqual(
      ["./x.ts a", "./x.ts B", "./x.ts c", "./y.ts f", "./z.ts g", "./all.ts *", "./later.ts *"], // prettier-ignore
    );
  });
});

/** It is put in the place of another file (vitest.config.ts), and exports what that one does. */
const STAND_IN = "test/support/stand-in/password-cost.ts";

describe("the sources", () => {
  it("export only values that another file imports", () => {
    const used = new Set<string>();
    for (const file of [...SOURCES, "vitest.config.ts"])
      for (const { specifier, name } of importedNames(readFileSync(`${ROOT}/${file}`, "utf8")))
        used.add(`${targetOf(file, specifier)} ${name}`);
    const isChecked = (file: string): boolean => !WORKER_ENTRIES.includes(file) && file !== STAND_IN;
    const unused = SOURCES.filter((file) => isChecked(file) && !used.has(`${file} *`)).flatMap((file) =>
      exportedValues(readFileSync(`${ROOT}/${file}`, "utf8"))
        .filter((name) => !used.has(`${file} ${name}`))
        .map((name) => `${file} exports ${name}`),
    );
    expect(unused).toEqual([]);
  });

  it("have no circle of imports, type imports included", () => {
    const graph = new Map(SOURCES.map((file) => [file, importsOf(readFileSync(`${ROOT}/${file}`, "utf8")).map((one) => targetOf(file, one))])); // prettier-ignore
    expect([...graph.values()].flat().filter((target) => graph.has(target)).length).toBeGreaterThan(SOURCES.length);
    expect(circlesIn(graph)).toEqual([]);
  });

  it.each(RUNTIMES)("of %s obey the rules", (runtime) => {
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

  // Where each command had to escape what others wrote in its own lines, some forgot.
  it("print for a person in one place", () => {
    const printing = SOURCES.filter((file) => /^scripts\/(?:codez\/|operator\/|print)[^]*\.ts$/.test(file)).filter(
      (file) => /\bconsole\.|process\.std(?:out|err)\.write/.test(readFileSync(`${ROOT}/${file}`, "utf8")),
    );
    expect(printing.toSorted()).toEqual([
      "scripts/codez/commands/hooks.ts", // JSON for the agent whose hook it is
      "scripts/codez/output.ts", // failures, each line of which is marked
      "scripts/codez/sign-in/sign-in.ts", // a QR code of its own making
      "scripts/operator/main.ts", // failures, as above
      "scripts/print.ts",
    ]);
  });

  // Of four copies of the rule, one had not learnt of marks that pile up.
  it("ask the protocol which characters hide", () => {
    const own = SOURCES.filter((file) => runtimeOf(file) !== "test").filter((file) =>
      readFileSync(`${ROOT}/${file}`, "utf8").includes(String.raw`\p{Default_Ignorable_Code_Point}`),
    );
    // The second one judges what an agent's client could take for a command; it shows nothing.
    expect(own.toSorted()).toEqual(["machine-template/protocol/hidden.ts", "scripts/serve/prompt/command.ts"]);
  });

  // Content types are spelled in any case. Where one part of a path knew a stream and another did not, nobody noticed that its reader had left.
  it("ask the protocol whether an answer is an event stream", () => {
    const reads = SOURCES.filter((file) => runtimeOf(file) !== "test").filter((file) =>
      /startsWith\("text\/event-stream/.test(readFileSync(`${ROOT}/${file}`, "utf8")),
    );
    expect(reads).toEqual([]);
  });

  // A test advanced the timers of its whole isolate, and so fired what a Durable Object of an earlier test had set.
  it("advance only a test's own timers in a Worker", () => {
    const ofWorkers = /^test\/(?:attacks\/)?(?:control-api|dispatch-worker|machine-template(?!\/protocol))\//;
    const broken = SOURCES.filter((file) => ofWorkers.test(file)).filter((file) => {
      const text = readFileSync(`${ROOT}/${file}`, "utf8");
      return /\bvi\.(?:advanceTimers|run(?:All|OnlyPending)T)/.test(text) && !text.includes("onOwnTimers(");
    });
    expect(broken).toEqual([]);
  });
});

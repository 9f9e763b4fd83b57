import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { buildCodez } from "../../../scripts/build/codez.ts";
import { said, sessionId } from "./history/support/history-file.ts";
import { CODEZ, until, type Answer } from "./support/machine.ts";

let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "codez-bundle-"));
  await buildCodez();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Every Node on the PATH that is another version than the one that runs this. */
function otherNodes(): string[] {
  const found = new Map<string, string>();
  for (const place of new Set((process.env["PATH"] ?? "").split(delimiter))) {
    try {
      const node = join(place, "node");
      found.set(execFileSync(node, ["--version"], { encoding: "utf8" }).trim(), node);
    } catch {
      // No Node in this place.
    }
  }
  found.delete(process.version);
  return [...found.values()];
}

const nodes = [process.execPath, ...otherNodes()].map((node) => ({
  node,
  version: execFileSync(node, ["--version"], { encoding: "utf8" }).trim(),
}));

describe.each(nodes)("the one-file bundle on Node $version", ({ node, version }) => {
  test("serves, starts itself again as index thread, finds history, and ends", async () => {
    const home = mkdtempSync(join(folder, "home-"));
    const project = join(home, ".claude", "projects", "-src-api");
    mkdirSync(project, { recursive: true });
    writeFileSync(join(project, `${sessionId(1)}.jsonl`), `${JSON.stringify(said("an unusual zugzwang"))}\n`);
    const env = {
      PATH: process.env["PATH"],
      HOME: home,
      CODEZ_HOME: join(home, ".codez"),
      CLAUDE_CONFIG_DIR: join(home, ".claude"),
    };
    const serve = spawn(node, [CODEZ, "serve", "--port", "0"], { env, stdio: ["ignore", "pipe", "pipe"] });
    const exited = once(serve, "exit");
    let output = "";
    for (const stream of [serve.stdout, serve.stderr]) stream.on("data", (chunk) => (output += String(chunk)));
    try {
      const url = await until("its URL", () => {
        if (serve.exitCode !== null) throw new Error(output);
        return /http:\S+\/mcp/.exec(output)?.[0];
      });
      const client = new Client({ name: "test", version: "1" });
      const token = readFileSync(join(home, ".codez", "serve", "token"), "utf8").trim();
      const requestInit = { headers: { authorization: `Bearer ${token}` } };
      await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }));
      const call = async (name: string, input: Answer = {}) =>
        (await client.callTool({ name, arguments: input })).structuredContent as Answer;
      // A message is found while the index thread still has other files to read, and those are counted.
      await until("the index", async () => {
        const answer = await call("search_sessions", { query: "zugzwang" });
        const isFound = JSON.stringify(answer).includes("an unusual zugzwang");
        return isFound && answer["files_not_indexed"] === 0 ? answer : undefined;
      });
      const health = JSON.stringify(await call("get_health_details"));
      // On a Node without full-text search the health check says so; on others it has nothing to say about it.
      const hasIndex = Number(/\d+/.exec(version)?.[0]) >= 24;
      if (hasIndex) expect(health).toContain('"store":"sqlite"');
      if (health.includes('"store":"memory"')) expect(health).toContain("has no SQLite with full-text search");
      await client.close();
    } finally {
      serve.kill("SIGTERM");
      await exited;
    }
    expect(serve.exitCode).toBe(0);
    expect(output).not.toContain("ExperimentalWarning");
  });
});

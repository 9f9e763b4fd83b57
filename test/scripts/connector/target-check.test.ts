import { expect, it, onTestFinished } from "vitest";
import * as z from "zod";
import { HttpTarget } from "../../../scripts/connector/http-target.ts";
import { StdioTarget } from "../../../scripts/connector/stdio/stdio-target.ts";
import { checkTarget } from "../../../scripts/connector/target-check.ts";
import { bodyOf, HttpServer } from "./support/http-server.ts";

/** A program that reads and never answers. */
const SILENT = "process.stdin.resume(); setInterval(() => undefined, 1_000);";

it("a server that never answers counts as down after the time limit, and the check ends", async () => {
  const target = new StdioTarget({ command: process.execPath, args: ["-e", SILENT], cwd: process.cwd() }, "attic");
  onTestFinished(() => target.close());
  expect(await checkTarget(target, "0.0.0", 300)).toEqual({
    state: "down",
    detail: "it has not answered within 0.3 s; what npx installs first may take longer",
  });
});

const Asked = z.object({ id: z.optional(z.unknown()) });

it.each<[string, (id: unknown) => string, string | RegExp]>([
  [
    "a JSON-RPC server that is none of MCP",
    (id) => JSON.stringify({ jsonrpc: "2.0", id, result: {} }),
    "it is not an MCP server: its answer to initialize has no protocolVersion",
  ],
  [
    "another version of the answer",
    (id) => JSON.stringify({ jsonrpc: "2.0", id, result: { protocolVersion: 7, secret: "x".repeat(1_000) } }),
    "it is not an MCP server: its answer to initialize has another protocolVersion than MCP says",
  ],
  ["JSON of something else", () => '{"hello":"world"}', "it is not an MCP server: its answer is no JSON-RPC message"],
  [
    "a long error",
    (id) => JSON.stringify({ jsonrpc: "2.0", id, error: { code: 1, message: "x".repeat(9_000) } }),
    /^.{0,299}x…$/,
  ],
])("what answers with %s is called what it is, in a sentence", async (_, answer, said) => {
  await using http = await HttpServer.start(async (request, response) => {
    const { id } = Asked.parse(JSON.parse((await bodyOf(request)).toString() || "{}"));
    response.writeHead(200, { "content-type": "application/json" }).end(answer(id));
  });
  const target = new HttpTarget(http.url, "attic", "Start it.");
  onTestFinished(() => target.close());
  const detail = typeof said === "string" ? said : expect.stringMatching(said);
  expect(await checkTarget(target, "0.0.0")).toEqual({ state: "down", detail });
});

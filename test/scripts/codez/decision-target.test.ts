import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DecisionTarget } from "../../../scripts/codez/decision-target.ts";
import { lifeOf } from "../../../scripts/system/process-start.ts";
import { connectHttp, type Connected } from "../connector/support/connected.ts";
import { HttpServer } from "../connector/support/http-server.ts";
import { temporaryFolder } from "../connector/support/temporary-folder.ts";

/** The requests that reached the machine's own endpoint of `codez serve`. */
type Knock = { url: string; authorization: string; body: unknown };

describe("people's decisions at a connector", () => {
  let folder: ReturnType<typeof temporaryFolder>;
  let door: HttpServer;
  let knocks: Knock[];
  let made: Connected;

  beforeEach(async () => {
    folder = temporaryFolder();
    knocks = [];
    door = await HttpServer.start((request, response) => {
      let text = "";
      request.on("data", (chunk) => (text += String(chunk)));
      request.on("end", () => {
        knocks.push({
          url: request.url ?? "",
          authorization: request.headers.authorization ?? "",
          body: JSON.parse(text),
        });
        response
          .writeHead(409, { "content-type": "application/json" })
          .end(JSON.stringify({ code: "request_settled", error: "x" }));
      });
    });
    made = await connectHttp((_, response) => void response.end("the MCP server"), {
      decisions: new DecisionTarget(door.url, folder.path),
    });
  });
  afterEach(async () => {
    await made[Symbol.asyncDispose]();
    await door[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  function serveRuns(port = Number(door.url.port)): void {
    mkdirSync(join(folder.path, "serve"), { recursive: true });
    const running = {
      pid: process.pid,
      started: lifeOf(process.pid).started,
      port,
      token: "local-token",
      mcpToken: "mcp-token",
    };
    writeFileSync(join(folder.path, "serve", "running.json"), JSON.stringify(running));
  }

  const DECISION = { request: "r-1", behavior: "allow", by: "Ann, on the inbox page" };
  const PATH = "/operator/decide";

  it("arrive at the machine's own endpoint of codez serve with its token, and the answer comes back", async () => {
    serveRuns();
    const answer = await made.link.call({ path: PATH }, JSON.stringify(DECISION));
    expect([answer.status, answer.text]).toEqual([409, '{"code":"request_settled","error":"x"}']);
    expect(knocks).toEqual([{ url: "/local/permissions", authorization: "Bearer local-token", body: DECISION }]);
  });

  it.each([
    ["without a person, as if they were made at the machine", { request: "r-1", behavior: "allow" }],
    ["with an empty person", { ...DECISION, by: "" }],
    ["with another behavior", { ...DECISION, behavior: "always" }],
    ["that are no object", "allow"],
  ])("are refused %s", async (_, body) => {
    serveRuns();
    expect((await made.link.call({ path: PATH }, JSON.stringify(body))).status).toBe(400);
    expect(knocks).toEqual([]);
  });

  it("carry no fields except those of a decision", async () => {
    serveRuns();
    await made.link.call({ path: PATH }, JSON.stringify({ ...DECISION, via: "machine", token: "x" }));
    expect(knocks[0]?.body).toEqual(DECISION);
  });

  it.each([
    ["no codez serve runs", () => undefined],
    ["another codez serve runs than the one that is served", () => serveRuns(1)],
  ])("are answered with no_serve when %s", async (_, arrange) => {
    arrange();
    const answer = await made.link.call({ path: PATH }, JSON.stringify(DECISION));
    expect([answer.status, JSON.parse(answer.text)]).toMatchObject([404, { code: "no_serve" }]);
    expect(knocks).toEqual([]);
  });

  it.each(["/operator/decide/", "/operator/decide/..", "/operator//decide", "/Operator/decide"])(
    "do not arrive through %j",
    async (path) => {
      serveRuns();
      expect((await made.link.call({ path }, JSON.stringify(DECISION))).status).toBe(404);
      expect(knocks).toEqual([]);
    },
  );
});

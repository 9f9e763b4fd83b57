import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { buildCodez } from "../../../../scripts/build/codez.ts";
import { ExitCode } from "../../../../scripts/codez/exit-code.ts";
import { until } from "../../../end-to-end/support/eventually.ts";
import { temporaryFolder } from "../../connector/support/temporary-folder.ts";
import { Codez, codez } from "./support/codez.ts";

beforeAll(() => buildCodez());

type Connection = { readonly path: string; readonly lastId: string | undefined };

/** An Operator that serves only `GET /api/events`: each connection gets the next of `answers`. */
class EventsStandIn implements AsyncDisposable {
  readonly connections: Connection[] = [];
  readonly #server: Server;

  static async start(answers: readonly (string | number)[]): Promise<EventsStandIn> {
    const made = new EventsStandIn(answers);
    made.#server.listen(0, "127.0.0.1");
    await once(made.#server, "listening");
    return made;
  }

  private constructor(answers: readonly (string | number)[]) {
    this.#server = createServer((request, response) => {
      if (request.url?.startsWith("/api/events") !== true) return void response.writeHead(200).end("{}");
      const answer = answers[this.connections.length] ?? "";
      this.connections.push({ path: request.url, lastId: request.headers["last-event-id"] as string | undefined });
      if (typeof answer === "number") return void response.writeHead(answer).end("{}");
      response.writeHead(200, { "content-type": "text/event-stream" });
      // The last connection stays open, all others break off after what they said.
      if (this.connections.length < answers.length) response.end(answer);
      else response.write(answer);
    });
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}

const event = (session: string, id: string, type = "session.idle"): string =>
  `event: event\nid: ${id}\ndata: ${JSON.stringify({ machine: "attic", seq: 1, atMs: 1, type, session, data: {} })}\n\n`;
const cursor = (id: string): string => `event: cursor\nid: ${id}\ndata:\n\n`;

describe("watch", () => {
  it("starts now, continues after the last event when the connection breaks or Operator restarts, and asks for its types", async () => {
    using home = temporaryFolder();
    await using operator = await EventsStandIn.start([
      event("old", "c1") + cursor("c1") + event("s1", "c2") + event("s2", "c3", "message"),
      503,
      event("s3", "c4"),
    ]);
    const env = { CODEZ_HUB: operator.origin, CODEZ_HUB_TOKEN: "token" };
    await using watching = new Codez(home.path, ["watch", "--machine", "attic", "--type", "session.*"], env);
    await watching.says("s3");
    const lines = watching.out.trim().split("\n");
    expect(lines.map((line) => JSON.parse(line).session)).toEqual(["s1", "s3"]);
    expect(operator.connections.map(({ lastId }) => lastId)).toEqual([undefined, "c3", "c3"]);
    const { searchParams } = new URL(operator.connections[0]?.path ?? "", operator.origin);
    expect(Object.fromEntries(searchParams)).toEqual({ machine: "attic", type: "session.*" });
    const [file = ""] = readdirSync(join(home.path, "watch"));
    expect(statSync(join(home.path, "watch", file)).mode & 0o777).toBe(0o600);
  });

  it("runs a command for each event, one at a time, and continues when one fails or does not exist", async () => {
    using home = temporaryFolder();
    const stream = cursor("c1") + event("$(exit 1)", "c2") + event("s2", "c3") + cursor("c4");
    await using operator = await EventsStandIn.start([stream, ""]);
    const env = { CODEZ_HUB: operator.origin, CODEZ_HUB_TOKEN: "token" };
    const script = `process.stdin.on("data", (text) => { console.log("got", JSON.parse(text).session, process.env.CODEZ_HUB_TOKEN ?? "no token"); process.exitCode = 3; });`; // prettier-ignore
    await using watching = new Codez(home.path, ["watch", "--", process.execPath, "-e", script], env);
    await watching.says("got s2 no token");
    expect(watching.out).toContain("got $(exit 1) no token");
    await until("the failure is told", () => watching.err.includes("ended with code 3"));
    await using missing = await EventsStandIn.start([stream, ""]);
    const other = { CODEZ_HUB: missing.origin, CODEZ_HUB_TOKEN: "token" };
    await using trying = new Codez(home.path, ["watch", "--exec", join(home.path, "no-such-program")], other);
    await trying.says("s2");
    await until("the failure is told", () => trying.err.includes("could not be started"));
  });

  it("ends when its token is no longer valid", async () => {
    using home = temporaryFolder();
    await using operator = await EventsStandIn.start([401]);
    const { code } = await codez(home.path, ["watch"], { CODEZ_HUB: operator.origin, CODEZ_HUB_TOKEN: "token" });
    expect(code).toBe(ExitCode.NOT_SIGNED_IN);
  });
});

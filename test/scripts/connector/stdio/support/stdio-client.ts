import { fileURLToPath } from "node:url";
import type { ChildSpec } from "../../../../../scripts/connector/stdio/child.ts";
import { StdioTarget } from "../../../../../scripts/connector/stdio/stdio-target.ts";
import { connect, type Connected } from "../../support/connected.ts";
import type { Answered, StandInLink } from "../../support/script-stand-in.ts";

const SERVER = fileURLToPath(new URL("raw-server.ts", import.meta.url));
const JSON_AND_STREAM: [string, string][] = [["accept", "application/json, text/event-stream"]];
const META = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`;

/** A connector in front of the raw server. */
export function connectStdio(...args: string[]): Promise<Connected> {
  return connect(new StdioTarget(rawServer(...args), "attic"));
}

export function rawServer(...args: string[]): ChildSpec {
  return { command: process.execPath, args: [SERVER, ...args], cwd: process.cwd() };
}

/** A client of the 2025 revisions that has opened a session. */
export class LegacyClient {
  readonly #link: StandInLink;
  readonly headers: [string, string][];

  static async open(link: StandInLink): Promise<LegacyClient> {
    const answer = await link.call(
      { headers: JSON_AND_STREAM },
      '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}',
    );
    return new LegacyClient(link, answer.headers.get("mcp-session-id") ?? "none");
  }

  private constructor(link: StandInLink, session: string) {
    this.#link = link;
    this.headers = [...JSON_AND_STREAM, ["mcp-session-id", session]];
  }

  /** Opens an exchange without waiting for its answer. */
  start(name: string, id = "1", more = ""): number {
    const params = `{"name":"${name}"${more}}`;
    return this.#link.open(
      { headers: this.headers },
      `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":${params}}`,
    );
  }

  call(name: string, id = "1", more = ""): Promise<Answered> {
    return this.#link.answerOf(this.start(name, id, more));
  }

  /** A call by a client that reads no streams. */
  callPlainly(name: string): Promise<Answered> {
    const headers: [string, string][] = [["accept", "application/json"], ...this.headers.slice(1)];
    return this.#link.call({ headers }, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"${name}"}}`);
  }

  post(body: string): Promise<Answered> {
    return this.#link.call({ headers: this.headers }, body);
  }

  listen(): number {
    return this.#link.open({ method: "GET", headers: this.headers });
  }

  end(): Promise<Answered> {
    return this.#link.call({ method: "DELETE", headers: this.headers });
  }
}

/** A 2026-07-28 request: it names its revision itself. */
export function modern(link: StandInLink, name: string, id: string, more = ""): number {
  const params = `{"name":"${name}",${META.slice(0, -1)}${more}}}`;
  return link.open(
    { headers: JSON_AND_STREAM },
    `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":${params}}`,
  );
}

export function modernMethod(link: StandInLink, method: string, id: string): number {
  return link.open(
    { headers: JSON_AND_STREAM },
    `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":{${META}}}`,
  );
}

/** Waits until a process is gone. */
export async function gone(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return; // ESRCH
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export function pidIn(answer: Answered): number {
  return JSON.parse(answer.text).result.pid;
}

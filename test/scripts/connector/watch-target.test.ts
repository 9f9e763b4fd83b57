import { describe, expect, it } from "vitest";
import { Facts } from "#protocol/control.ts";
import type { PushedEvent } from "#protocol/event.ts";
import type { Clock } from "../../../scripts/connector/clock.ts";
import { HttpTarget } from "../../../scripts/connector/http-target.ts";
import type { Target } from "../../../scripts/connector/target.ts";
import { TargetWatch, type WatchOptions } from "../../../scripts/connector/watch-target.ts";
import { HttpServer } from "./support/http-server.ts";
import { McpTarget, type ToolAnswer } from "./support/mcp-target.ts";

/** A watch, and all that it has said. */
class Watched implements AsyncDisposable {
  readonly events: PushedEvent[] = [];
  readonly facts: Partial<Facts>[] = [];
  readonly reports: [isThere: boolean, detail: string][] = [];
  cursor: string | null = null;
  readonly #watch: TargetWatch;
  readonly #target: Target;
  #seen: (() => void)[] = [];

  constructor(target: Target, options: Partial<WatchOptions> = {}) {
    this.#target = target;
    this.#watch = new TargetWatch({
      target,
      events: true,
      folders: [],
      version: "1",
      isolated: false,
      random: () => 0,
      cursor: () => this.cursor,
      push: (events, cursor) => {
        this.events.push(...events);
        if (events.length > 0) this.cursor = cursor;
        this.#wake();
      },
      learn: (facts) => {
        this.facts.push(facts);
        this.#wake();
      },
      report: (isThere, detail) => {
        this.reports.push([isThere, detail]);
        this.#wake();
      },
      ...options,
    });
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#seen.push(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#watch.stop();
    await this.#target.close();
  }

  #wake(): void {
    for (const wake of this.#seen.splice(0)) wake();
  }
}

/** A clock on which every wait ends at once, and is counted. */
class EagerClock implements Clock {
  #nowMs = 1_000_000;

  nowMs(): number {
    return this.#nowMs;
  }

  after(ms: number, act: () => void): () => void {
    const timer = setImmediate(() => {
      this.#nowMs += ms;
      act();
    });
    return () => clearImmediate(timer);
  }
}

/** A server that hands out each of its events once, and then lets callers wait. */
function draining(events: unknown[]): () => Promise<ToolAnswer> {
  return () => {
    if (events.length === 0) return new Promise(() => undefined);
    return Promise.resolve({ text: JSON.stringify({ events: events.splice(0, 2) }) });
  };
}

describe.each(["legacy", "modern"] as const)("a %s server with poll_events", (era) => {
  it("is read to its last event, in order", async () => {
    const target = new McpTarget(era, { poll_events: ["session_id", "timeout_ms"] }, draining([1, 2, 3, 4, 5]));
    await using watched = new Watched(target, { events: "drain", clock: new EagerClock() });
    await watched.until(() => watched.events.length === 5);
    expect(watched.events.map(({ data }) => data)).toEqual([1, 2, 3, 4, 5]);
    expect(target.calls[0]).toEqual({ name: "poll_events", args: { timeout_ms: 25_000 } });
  });

  it("is asked for its name and capabilities", async () => {
    await using watched = new Watched(new McpTarget(era, { poll_events: ["cursor"] }, draining([])));
    await watched.until(() => watched.reports.length > 0);
    expect(watched.facts).toEqual([
      { server: "up", agent: { name: "polled", version: "7" }, capabilities: ["tools", "poll_events"], repos: [] },
    ]);
    expect(watched.reports).toEqual([[true, "polled 7"]]);
  });

  it("has its notifications read that belong to no request", async () => {
    const target = new McpTarget(era, { poll_events: ["cursor"] }, draining([]));
    await using watched = new Watched(target);
    await target.until(() => target.calls.length === 1);
    // The stream for it is opened beside the poll, and a word said before has nobody to hear it.
    while (watched.events.length === 0) {
      await target.notify();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(watched.events[0]).toMatchObject({ type: "mcp.tools/list_changed", session: null });
  });

  it("is not read any further if its cursor is as long as a file", async () => {
    const events = [{ type: "one", data: 1 }];
    const answer = (): ToolAnswer => ({ structuredContent: { events, cursor: "x".repeat(100_000) } });
    await using watched = new Watched(new McpTarget(era, { poll_events: ["cursor"] }, answer));
    // An event that comes is seen as well: such a server has no end of them.
    await watched.until(() => watched.reports.length > 1 || watched.events.length > 0);
    expect(watched.events).toEqual([]);
    expect(watched.reports[1]).toEqual([false, expect.stringContaining("cursor")]);
  });

  it("is not drained unless configured, because its own clients would miss those events", async () => {
    const events = [1, 2, 3];
    const target = new McpTarget(era, { poll_events: ["session_id", "timeout_ms"] }, draining(events));
    await using watched = new Watched(target);
    await watched.until(() => watched.reports.length > 0);
    expect(watched.reports).toEqual([[true, expect.stringContaining("--drain-events")]]);
    expect([target.calls, events]).toEqual([[], [1, 2, 3]]);
  });

  it("is not contacted when events are not wanted", async () => {
    const target = new McpTarget(era, { poll_events: [] }, draining([1]));
    await using watched = new Watched(target, { events: false });
    await watched.until(() => watched.reports.length > 0);
    expect(target.calls).toEqual([]);
  });
});

it("a server with cursors is read from the last position, by the next process too", async () => {
  const answer = ({ args }: { args: Record<string, unknown> }): ToolAnswer | Promise<ToolAnswer> => {
    const from = Number(args["cursor"] ?? 0);
    if (from >= 6) return new Promise(() => undefined);
    return { structuredContent: { events: [{ type: "t", data: from + 1 }], cursor: `${from + 1}` } };
  };
  const target = new McpTarget("legacy", { poll_events: ["cursor"] }, answer);
  await using watched = new Watched(target, { cursor: () => "3" });
  await watched.until(() => watched.events.length === 3);
  expect(watched.events.map(({ data }) => data)).toEqual([4, 5, 6]);
  expect(watched.cursor).toBe("6");
});

it("a cursor that the server refuses is dropped", async () => {
  const target = new McpTarget("legacy", { poll_events: ["cursor"] }, ({ args }) => {
    if (args["cursor"] === "old") return { isError: true, text: "cursor_invalid" };
    if (args["cursor"] !== undefined) return new Promise(() => undefined);
    return { structuredContent: { events: ["fresh"], cursor: "new" } };
  });
  await using watched = new Watched(target, { cursor: () => "old" });
  await watched.until(() => watched.events.length === 1);
  expect(target.calls.map(({ args }) => args["cursor"]).slice(0, 2)).toEqual(["old", undefined]);
});

it("a restarted server is polled again", async () => {
  const events = [1];
  let release: (answer: ToolAnswer) => void = () => undefined;
  const target = new McpTarget("legacy", { poll_events: ["cursor"] }, () => {
    const data = events.shift();
    if (data !== undefined) return { structuredContent: { events: [{ type: "t", data }] } };
    return new Promise((resolve) => {
      release = resolve;
    });
  });
  await using watched = new Watched(target);
  await target.until(() => target.calls.length === 2);
  await target.restart();
  events.push(2);
  release({ text: "too late" });
  await watched.until(() => watched.events.length === 2);
  expect(watched.events.map(({ data }) => data)).toEqual([1, 2]);
});

it("a missing server is reported once, with what to start, and so is its return", async () => {
  const gone = await HttpServer.start(() => undefined);
  const { url } = gone;
  await gone[Symbol.asyncDispose]();
  await using watched = new Watched(new HttpTarget(url, "attic", "Start it with: x"));
  await watched.until(() => watched.reports.length === 1);
  expect(watched.reports[0]).toEqual([false, expect.stringContaining("Start it with: x")]);
  const mcp = new McpTarget("legacy", {}, () => ({}));
  await using _server = await HttpServer.start((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const headers = Object.entries(request.headers).map(([name, value]): [string, string] => [name, String(value)]);
      mcp.serve(
        { method: request.method ?? "", query: "", headers, body: Buffer.concat(chunks) },
        {
          isOver: false,
          drained: null,
          cancelled: null,
          head: (status, list) => void response.writeHead(status, Object.fromEntries(list)).flushHeaders(),
          write: (chunk) => response.write(chunk),
          end: () => void response.end(),
          fail: () => void response.destroy(),
        },
      );
    });
  }, Number(url.port));
  await watched.until(() => watched.reports.length === 2);
  expect(watched.reports[1]).toEqual([true, "polled 7"]);
  expect(watched.facts.map(({ server }) => server)).toEqual(["down", "up"]);
});

it("a process for each session ends after its first answers if it has no events to fetch", async () => {
  const target = new McpTarget("legacy", { echo: [] }, () => ({}));
  await using watched = new Watched(target, { isolated: true });
  await target.until(() => target.methods.includes("DELETE"));
  expect(watched.facts).toHaveLength(1);
});

it("the projects of a server become the machine's repositories", async () => {
  const here = process.cwd();
  const target = new McpTarget("legacy", { list_projects: [] }, () => ({
    text: JSON.stringify({
      projects: [
        { slug: "a", path: here },
        { slug: "b", path: "/nowhere" },
        { slug: "c", path: null },
      ],
    }),
  }));
  await using watched = new Watched(target);
  await watched.until(() => watched.facts.length > 0);
  expect(watched.facts[0]?.repos?.map(({ path }) => path)).toEqual([here]);
  expect(watched.facts[0]?.projects).toEqual([
    { slug: "a", path: here },
    { slug: "b", path: "/nowhere" },
    { slug: "c", path: null },
  ]);
});

it("a server's projects are limited in number and length to what the link accepts", async () => {
  const path = "/nowhere";
  const odd = [
    { path },
    { slug: "", path },
    { slug: "s".repeat(256), path },
    { slug: "deep", path: "/x".repeat(4_096) },
  ];
  const many = Array.from({ length: 300 }, (_, n) => ({ slug: `p${n}`, path: null }));
  const target = new McpTarget("modern", { list_projects: [] }, () => ({
    text: JSON.stringify({ projects: [...odd, ...many] }),
  }));
  await using watched = new Watched(target);
  await watched.until(() => watched.facts.length > 0);
  const projects = watched.facts[0]?.projects;
  expect(projects?.slice(0, 2)).toEqual([
    { slug: "deep", path: null },
    { slug: "p0", path: null },
  ]);
  expect(projects).toHaveLength(200);
  expect(Facts.shape.projects.safeParse(projects).success).toBe(true);
});

describe("a server that records each tool call as an event, as CodeZ does,", () => {
  /** Each call is two events; a poll hands out what there is and forgets it. */
  function echoing(news: () => object[]): McpTarget {
    const events: object[] = [];
    return new McpTarget("legacy", { poll_events: ["session_id", "timeout_ms"] }, ({ name }) => {
      events.push({ type: "mcp.tool_call.started", data: { tool: name } }, ...news());
      const text = JSON.stringify(events.splice(0));
      events.push({ type: "mcp.tool_call.completed", properties: { call: { name } } });
      return { text };
    });
  }

  it("is polled at most once a second, and less often while there are no other events", async () => {
    const clock = new EagerClock();
    const startedMs = clock.nowMs();
    const target = echoing(() => []);
    await using watched = new Watched(target, { events: "drain", clock });
    await target.until(() => target.calls.length === 20);
    expect(clock.nowMs() - startedMs).toBeGreaterThan(80_000);
    expect(watched.events).toEqual([]);
  });

  it("has all its other events fetched, including those of other tools' calls", async () => {
    const news = [[{ type: "session.idle" }], [], [{ type: "mcp.tool_call.completed", data: { tool: "send_prompt" } }]];
    const target = echoing(() => news.shift() ?? []);
    await using watched = new Watched(target, { events: "drain", clock: new EagerClock() });
    await watched.until(() => watched.events.length === 2);
    expect(watched.events.map(({ type }) => type)).toEqual(["session.idle", "mcp.tool_call.completed"]);
  });
});

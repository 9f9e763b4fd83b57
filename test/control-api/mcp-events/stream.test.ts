import { describe, expect, it } from "vitest";
import { env, MODERN, TestUser } from "../support/operator.ts";

type Message = { method?: string; id?: unknown; params?: Record<string, unknown>; error?: { code: number } };

const SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId";

/** An open `events/stream`, message by message. */
class Stream {
  readonly #reader: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = body.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** The next message, or `null` at the end. */
  async next(): Promise<Message | null> {
    for (;;) {
      const end = this.#text.indexOf("\n");
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        if (line.startsWith("data: {")) return JSON.parse(line.slice(6));
        continue;
      }
      const { done, value } = await this.#reader.read();
      if (done) return null;
      this.#text += value;
    }
  }

  /** All messages up to the end. */
  async rest(): Promise<Message[]> {
    const messages: Message[] = [];
    for (;;) {
      const message = await this.next();
      if (message === null) return messages;
      messages.push(message);
    }
  }

  async close(): Promise<void> {
    await this.#reader.cancel();
  }
}

async function open(user: TestUser, params: Record<string, unknown>): Promise<Response> {
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  const message = { jsonrpc: "2.0", id: "stream-1", method: "events/stream", params: { ...params, _meta } };
  const body = JSON.stringify(message);
  const headers = {
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "mcp-protocol-version": MODERN,
    "mcp-method": "events/stream",
    "mcp-name": String(params["name"]),
    "content-length": String(body.length),
  };
  return user.fetch("/mcp", { method: "POST", headers, body });
}

async function streamOf(user: TestUser, params: Record<string, unknown>): Promise<Stream> {
  const response = await open(user, params);
  expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
  if (response.body === null) throw new Error("no stream");
  return new Stream(response.body);
}

/** The last messages of a stream that the server ends: why, and the empty result (SEP-3415, "Subscription Termination"). */
const endOf = (reason: string) => [
  {
    jsonrpc: "2.0",
    method: "notifications/events/terminated",
    params: {
      error: { code: -32_024, message: reason, data: { reason } },
      _meta: { [SUBSCRIPTION]: "stream-1" },
    },
  },
  {
    jsonrpc: "2.0",
    id: "stream-1",
    result: { resultType: "complete", _meta: expect.objectContaining({ [SUBSCRIPTION]: "stream-1" }) },
  },
];

/** An active stream that was opened with a token of its own. */
async function streamWithToken(user: TestUser): Promise<{ id: string; stream: Stream }> {
  const made = await user.rest("POST", "/api/tokens", { label: "stream" });
  const { token, id }: { token: string; id: string } = await made.json();
  const stream = await streamOf(new TestUser(user.id, token), { name: "session.failed" });
  expect(await stream.next()).toMatchObject({ method: "notifications/events/active" });
  return { id, stream };
}

const failed = (session: string) => ({ type: "session.error", session, data: { message: session } });

async function person(): Promise<TestUser> {
  const user = new TestUser();
  await user.machine("attic");
  await user.logs("attic", []);
  return user;
}

describe("events/stream", () => {
  it("confirms, then delivers new events, each message marked with the request's id", async () => {
    const alice = await person();
    const stream = await streamOf(alice, { name: "session.failed" });
    const active = await stream.next();
    expect(active).toMatchObject({
      method: "notifications/events/active",
      params: { cursor: expect.any(String), truncated: false, _meta: { [SUBSCRIPTION]: "stream-1" } },
    });
    await alice.logs("attic", [{ type: "message", session: "s1" }, failed("s1")]);
    expect(await stream.next()).toMatchObject({
      method: "notifications/events/event",
      params: {
        name: "session.failed",
        data: { machine: "attic", session: "attic/s1", message: "s1" },
        cursor: expect.any(String),
        _meta: { [SUBSCRIPTION]: "stream-1" },
      },
    });
    await stream.close();
  });

  it("continues from the cursor of any event, without loss or repetition", async () => {
    const alice = await person();
    const whole = await streamOf(alice, { name: "session.failed" });
    const start = (await whole.next())?.params?.["cursor"];
    await alice.logs("attic", [failed("s1"), { type: "message" }, failed("s2"), failed("s3")]);
    const cursors = [start];
    for (let count = 0; count < 3; count += 1) cursors.push((await whole.next())?.params?.["cursor"]);
    await whole.close();
    for (const [seen, cursor] of cursors.slice(0, 3).entries()) {
      const resumed = await streamOf(alice, { name: "session.failed", cursor });
      expect(await resumed.next()).toMatchObject({ method: "notifications/events/active" });
      const next = (await resumed.next())?.params?.["data"];
      expect(next).toMatchObject({ session: `attic/s${seen + 1}` });
      await resumed.close();
    }
  });

  it("answers an unknown event with an error at once and opens no stream", async () => {
    const alice = await person();
    const response = await open(alice, { name: "mail.received" });
    expect(await response.text()).toContain("-32023");
  });

  it("tells the client that its token was revoked, and then ends", async () => {
    const alice = await person();
    const { id, stream } = await streamWithToken(alice);
    await alice.rest("DELETE", `/api/tokens/${id}`);
    expect(await stream.rest()).toEqual(endOf("Access was revoked."));
  });

  it("tells the client that its person was removed, and then ends", async () => {
    const alice = await person();
    const { stream } = await streamWithToken(alice);
    await env.USER.getByName(alice.id).close();
    expect(await stream.rest()).toEqual(endOf("Access was revoked."));
  });

  it("tells the client that the machine of its subscription was removed, and then ends", async () => {
    const alice = await person();
    await alice.machine("mini");
    const stream = await streamOf(alice, { name: "session.failed", arguments: { machineId: "attic" } });
    expect(await stream.next()).toMatchObject({ method: "notifications/events/active" });
    await alice.rest("DELETE", "/api/machines/attic");
    expect(await stream.rest()).toEqual(endOf('There is no machine "attic". Call list_machines for the names.'));
  });

  it("about one machine ends when another computer gets its name, and tells nothing of that one", async () => {
    const alice = await person();
    const stream = await streamOf(alice, { name: "session.failed", arguments: { machineId: "attic" } });
    await stream.next();
    await alice.register("attic", { identity: "identity-of-another", replace: true });
    await alice.logs("attic", [failed("of-another")]);
    expect(await stream.rest()).toEqual(endOf('"attic" is another machine now.'));
  });

  it("tells the client that the machine of its session was renamed, and then ends", async () => {
    const alice = await person();
    const stream = await streamOf(alice, { name: "session.failed", arguments: { session: "attic/s1" } });
    expect(await stream.next()).toMatchObject({ method: "notifications/events/active" });
    await alice.script("loft"); // the script of the new name, to which the log moves
    const renamed = await alice.rest("PATCH", "/api/machines/attic", { name: "loft" });
    expect(renamed.status).toBe(200);
    expect(await stream.rest()).toEqual(endOf('There is no machine "attic". Call list_machines for the names.'));
  });

  it("goes on when another machine was removed", async () => {
    const alice = await person();
    await alice.machine("mini");
    const about = { name: "session.failed", arguments: { machineId: "attic" } };
    const [stream, other] = [
      await streamOf(alice, about),
      await streamOf(alice, { ...about, arguments: { machineId: "mini" } }),
    ];
    for (const one of [stream, other]) expect((await one.next())?.method).toBe("notifications/events/active");
    await alice.rest("DELETE", "/api/machines/mini");
    // Both were asked whether they may go on: the one that may not has ended.
    expect(await other.rest()).toHaveLength(2);
    await alice.logs("attic", [failed("s1")]);
    expect(await stream.next()).toMatchObject({ params: { data: { session: "attic/s1" } } });
    await stream.close();
  });
});

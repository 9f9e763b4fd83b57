import { describe, expect, it } from "vitest";
import { codeOf, TestUser } from "../support/operator.ts";

type Message = { id: string | undefined; event: string | undefined; data: string };

/** Reads an event stream message by message. */
class Stream {
  readonly #reader: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(response: Response) {
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
    if (response.body === null) throw new Error("no stream");
    this.#reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  }

  async next(): Promise<Message> {
    for (;;) {
      const end = this.#text.indexOf("\n\n");
      if (end >= 0) {
        const lines = this.#text.slice(0, end).split("\n");
        this.#text = this.#text.slice(end + 2);
        const field = (name: string): string | undefined =>
          lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
        return { id: field("id"), event: field("event"), data: field("data") ?? "" };
      }
      const { done, value } = await this.#reader.read();
      if (done) throw new Error("the stream ended");
      this.#text += value;
    }
  }

  /** The next messages until there are so many events; answers where each was and the id to resume with. */
  async events(count: number): Promise<{ at: string; id: string }[]> {
    const found: { at: string; id: string }[] = [];
    while (found.length < count) {
      const { event, id = "", data } = await this.next();
      if (event !== "event") continue;
      const { machine, seq }: { machine: string; seq: number } = JSON.parse(data);
      found.push({ at: `${machine} ${seq}`, id });
    }
    return found;
  }

  async close(): Promise<void> {
    await this.#reader.cancel();
  }
}

const numbered = (count: number) => Array.from({ length: count }, (_, index) => ({ atMs: index }));

async function two(): Promise<TestUser> {
  const alice = new TestUser();
  for (const name of ["attic", "cellar"]) await alice.machine(name);
  return alice;
}

describe("the event stream", () => {
  it("delivers the events of all machines as they happen", async () => {
    const alice = await two();
    await alice.logs("attic", numbered(2));
    const stream = new Stream(await alice.fetch("/api/events"));
    expect((await stream.events(2)).map(({ at }) => at)).toEqual(["attic 1", "attic 2"]);
    await alice.logs("cellar", numbered(1));
    expect((await stream.events(1)).map(({ at }) => at)).toEqual(["cellar 1"]);
    await stream.close();
  });

  it("resumes after any of its messages with Last-Event-ID, without loss or repetition", async () => {
    const alice = await two();
    await alice.logs("attic", numbered(3));
    await alice.logs("cellar", numbered(3));
    const stream = new Stream(await alice.fetch("/api/events"));
    const whole = await stream.events(6);
    await stream.close();
    for (let broken = 1; broken < 6; broken += 1) {
      const headers = { "last-event-id": whole[broken - 1]?.id ?? "" };
      const resumed = new Stream(await alice.fetch("/api/events", { headers }));
      expect((await resumed.events(6 - broken)).map(({ at }) => at)).toEqual(whole.slice(broken).map(({ at }) => at));
      await resumed.close();
    }
  });

  it("starts again and reports it when the Last-Event-ID has expired, because a browser would give up on an error", async () => {
    const alice = await two();
    await alice.logs("attic", numbered(1));
    const former = btoa(JSON.stringify([["attic", "e", 1]])).replaceAll("=", "");
    const stream = new Stream(await alice.fetch("/api/events", { headers: { "last-event-id": former } }));
    expect(await stream.next()).toMatchObject({ event: "gap", data: '{"machine":null}' });
    expect((await stream.events(1)).map(({ at }) => at)).toEqual(["attic 1"]);
    await stream.close();
    const refused = await alice.fetch(`/api/events?cursor=${former}`);
    expect([refused.status, await codeOf(refused)]).toEqual([410, "cursor_expired"]);
  });

  it("may start at a cursor of poll_events, which Last-Event-ID overrides", async () => {
    const alice = await two();
    await alice.logs("attic", numbered(1));
    const { structuredContent } = await alice.tool("poll_events", { timeout_ms: 0 });
    const older = String(structuredContent?.["cursor"]);
    await alice.logs("attic", numbered(3));
    const byCursor = new Stream(await alice.fetch(`/api/events?cursor=${older}`));
    const [second] = await byCursor.events(1);
    await byCursor.close();
    expect(second?.at).toBe("attic 2");
    const both = new Stream(
      await alice.fetch(`/api/events?cursor=${older}`, { headers: { "last-event-id": second?.id ?? "" } }),
    );
    expect((await both.events(1)).map(({ at }) => at)).toEqual(["attic 3"]);
    await both.close();
  });

  it("filters by machine and by session", async () => {
    const alice = await two();
    await alice.logs("attic", [{ session: "s1" }, { session: "s2" }]);
    await alice.logs("cellar", [{ session: "s1" }, { session: "s2" }]);
    for (const [query, expected] of [
      ["machine=cellar", ["cellar 1", "cellar 2"]],
      ["session=attic/s2", ["attic 2"]],
      ["session=s1&machine=cellar", ["cellar 1"]],
      ["type=message&machine=cellar", ["cellar 1", "cellar 2"]],
    ] as const) {
      const stream = new Stream(await alice.fetch(`/api/events?${query}`));
      expect((await stream.events(expected.length)).map(({ at }) => at)).toEqual(expected);
      expect((await stream.next()).event).toBe("cursor");
      await stream.close();
    }
  });

  it.each(["machine=attic", "session=attic/s1"])(
    "with %s ends and says why when another computer has that name, and tells nothing of it",
    async (query) => {
      const alice = await two();
      await alice.logs("attic", [{ session: "s1" }]);
      const stream = new Stream(await alice.fetch(`/api/events?${query}`));
      // Nothing was read yet, so the stream has not asked again.
      await alice.register("attic", { identity: "identity-of-another", replace: true });
      await alice.logs("attic", [{ session: "s1" }, { session: "s1" }]);
      expect((await stream.events(1)).map(({ at }) => at)).toEqual(["attic 1"]);
      let last = await stream.next();
      while (last.event === "cursor") last = await stream.next();
      expect([last.event, JSON.parse(last.data)]).toMatchObject([
        "end",
        { code: "machine_replaced", machine: "attic" },
      ]);
      await expect(stream.next()).rejects.toThrow("the stream ended");
    },
  );

  it.each(["machine=attic", "session=attic/s1"])(
    "with %s does not go on with another computer that has got that name while nobody listened",
    async (query) => {
      const alice = await two();
      await alice.logs("attic", [{ session: "s1" }]);
      const stream = new Stream(await alice.fetch(`/api/events?${query}`));
      const [{ id = "" } = {}] = await stream.events(1);
      await stream.close();
      const resumed = new Stream(await alice.fetch(`/api/events?${query}`, { headers: { "last-event-id": id } }));
      expect((await resumed.next()).event).toBe("cursor");
      await resumed.close();
      await alice.register("attic", { identity: "identity-of-another", replace: true });
      await alice.logs("attic", [{ session: "s1" }, { session: "s1" }]);
      const refused = await alice.fetch(`/api/events?${query}`, { headers: { "last-event-id": id } });
      expect([refused.status, await codeOf(refused)]).toEqual([409, "machine_replaced"]);
      // Who asks for all machines, or for another one, does not mean that computer.
      for (const other of ["", "machine=cellar"])
        expect((await alice.fetch(`/api/events?${other}&cursor=${id}`)).status).toBe(200);
      const anew = new Stream(await alice.fetch(`/api/events?${query}`));
      expect((await anew.events(1)).map(({ at }) => at)).toEqual(["attic 2"]);
      await anew.close();
    },
  );

  it("reports gaps, and continues", async () => {
    const alice = await two();
    await alice.logs("attic", numbered(2));
    await alice.logs("cellar", numbered(1));
    const { structuredContent } = await alice.tool("poll_events", { timeout_ms: 0 });
    await alice.logs("attic", [{ seq: 9 }]);
    const stream = new Stream(await alice.fetch(`/api/events?cursor=${String(structuredContent?.["cursor"])}`));
    expect((await stream.events(1)).map(({ at }) => at)).toEqual(["attic 9"]);
    expect(await stream.next()).toMatchObject({ event: "gap", data: '{"machine":"attic"}' });
    await alice.logs("cellar", numbered(2));
    expect((await stream.events(1)).map(({ at }) => at)).toEqual(["cellar 2"]);
    await stream.close();
  });

  it.each(["cursor=nonsense", "machine=nobody", "session=nobody/s1", "session=attic/s1&machine=cellar"])(
    "is refused with %s",
    async (query) => {
      const alice = await two();
      const response = await alice.fetch(`/api/events?${query}`);
      expect([400, 404]).toContain(response.status);
      expect(["invalid_request", "machine_unknown"]).toContain(await codeOf(response));
    },
  );

  it("of one user has no event of another user's machine", async () => {
    const [alice, bob] = [await two(), new TestUser()];
    await alice.logs("attic", numbered(1));
    expect((await bob.fetch("/api/events?machine=attic")).status).toBe(404);
    const stream = new Stream(await bob.fetch("/api/events"));
    expect((await stream.next()).event).toBe("cursor");
    await stream.close();
  });
});

/**
 * Root cause: the audit log looked into a call in ways that the caller could make fail (a recursive digest, a search for a
 * string, an unbounded name, a body it did not read), and one failing entry took its whole batch with it.
 */
import { createExecutionContext } from "cloudflare:test";
import { beforeEach, describe, expect, it } from "vitest";
import { noteCall } from "../../../control-api/src/audit/note.ts";
import { gate } from "../../../control-api/src/gate.ts";
import { env, ORIGIN, TestUser } from "../../control-api/support/operator.ts";

type Entry = { kind: string; subject: string | null; machine: string | null; outcome: string; digest: string | null };

/** The entries, once there are so many: they are written after the answer. */
async function entriesOf(user: TestUser, count = 1): Promise<Entry[]> {
  const read = async (): Promise<Entry[]> => {
    const { entries }: { entries: Entry[] } = await user.json("/api/audit?limit=1000");
    return entries.filter(({ kind }) => kind !== "machine_added");
  };
  await expect.poll(async () => (await read()).length).toBeGreaterThanOrEqual(count);
  return read();
}

function nested(depth: number): string {
  return `${"[".repeat(depth)}${"]".repeat(depth)}`;
}

const call = (name: string, args = "{}") =>
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":${JSON.stringify(name)},"arguments":${args}}}`;

let user: TestUser;
let url: string;

beforeEach(async () => {
  user = new TestUser();
  await user.machine("attic");
  url = `/m/${await user.slug("attic")}/mcp`;
});

async function send(path: string, body: string, headers: Record<string, string> = {}): Promise<void> {
  const all = {
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "content-length": String(new TextEncoder().encode(body).length),
    ...headers,
  };
  const response = await user.fetch(path, { method: "POST", body, headers: all });
  await response.body?.cancel();
}

describe("the audit log records a call at a machine's own URL", () => {
  it("with an argument nested 50,000 deep", async () => {
    await send(url, call("evil", `{"x":${nested(50_000)}}`));
    expect(await entriesOf(user)).toMatchObject([{ kind: "call", subject: "evil", machine: "attic", outcome: "ok" }]);
  });

  it("with its method written with an escape", async () => {
    await send(url, call("evil").replace("tools/call", String.raw`tools\/\u0063all`));
    expect(await entriesOf(user)).toMatchObject([{ kind: "call", subject: "evil" }]);
  });

  it("in a batch", async () => {
    await send(url, `[{"jsonrpc":"2.0","id":2,"method":"ping"},${call("evil")},${call("worse")}]`);
    expect(await entriesOf(user)).toMatchObject([{ kind: "call", subject: "batch of 3: ping, evil, worse" }]);
  });

  it("with a body of more than 256 KB", async () => {
    await send(url, call("evil", `{"x":"${"y".repeat(300 * 1024)}"}`));
    expect(await entriesOf(user)).toMatchObject([{ kind: "call", machine: "attic", outcome: "ok" }]);
  });

  it("with a body that does not state its length", async () => {
    const body = new Blob([call("evil")]).stream();
    const request = new Request(`${ORIGIN}${url}`, { method: "POST", body });
    const response = await gate.fetch(request, { ...env, LOOPBACK_OWNER: user.id }, createExecutionContext());
    await response.body?.cancel();
    expect(await entriesOf(user)).toMatchObject([{ kind: "call", machine: "attic", outcome: "ok" }]);
  });

  it("with a body that is not JSON", async () => {
    await send(url, "tools/call evil");
    expect(await entriesOf(user)).toMatchObject([{ kind: "call", subject: null, machine: "attic" }]);
  });

  it("and every other request that passes", async () => {
    await send(url, '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///etc/passwd"}}');
    await (await user.fetch(url, { headers: { accept: "text/event-stream" } })).body?.cancel();
    expect((await entriesOf(user, 2)).map(({ kind, subject }) => [kind, subject])).toEqual([
      ["request", "GET"],
      ["request", "resources/read"],
    ]);
  });
});

describe("the audit log records a call at /mcp", () => {
  it("with an argument nested 5,000 deep, and loses no other call's entry", async () => {
    await user.tool("get_machine", { machineId: "attic" });
    await send("/mcp", call("get_machine", `{"machineId":"attic","x":${nested(5_000)}}`));
    await user.tool("list_machines");
    const subjects = (await entriesOf(user, 3)).map(({ subject }) => subject);
    expect(subjects.toSorted()).toEqual(["get_machine", "get_machine", "list_machines"]);
  });

  it("with a name of 3 MB, and keeps only its beginning", async () => {
    await user.tool("list_machines");
    await send("/mcp", call("n".repeat(3 * 1024 * 1024)));
    const [long, short] = await entriesOf(user, 2);
    expect(long?.subject?.slice(0, 8)).toBe("nnnnnnnn");
    expect(long?.subject?.length).toBeLessThan(200);
    expect(short?.subject).toBe("list_machines");
  });

  it("with the digest of the bytes that arrived", async () => {
    const body = call("list_machines");
    await send("/mcp", body);
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(body)));
    const hex = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
    expect((await entriesOf(user))[0]?.digest).toBe(hex);
  });

  it("as refused, if the sign-in is read-only and the tool is not", async () => {
    const { token }: { token: string } = await (
      await user.rest("POST", "/api/tokens", { label: "reader", scopes: ["operator:read"] })
    ).json();
    await send("/mcp", call("send_prompt", '{"session_id":"attic/x"}'), { authorization: `Bearer ${token}` });
    expect((await entriesOf(user))[0]).toMatchObject({ kind: "call", subject: "send_prompt", outcome: "forbidden" });
  });
});

describe("an audit entry", () => {
  const entry = { atMs: Date.now(), kind: "call", client: "x", machine: null, subject: "s", digest: null, outcome: "ok", durationMs: 1 } as const; // prettier-ignore

  it("does not take others along when it cannot be written", async () => {
    const broken = { ...entry, atMs: null as unknown as number };
    await env.USER.getByName(user.id).audit([entry, broken, { ...entry, subject: "after" }]);
    expect((await entriesOf(user, 2)).map(({ subject }) => subject)).toEqual(["after", "s"]);
  });

  it("does not take others along when it cannot be made", async () => {
    const noteOne = (noted: () => { kind: "call"; client: string; subject: string }): void =>
      noteCall(env, user.id, Promise.resolve(), () => "ok", noted);
    noteOne(() => {
      throw new Error("it cannot be made");
    });
    noteOne(() => ({ kind: "call", client: "x", subject: "s" }));
    expect((await entriesOf(user)).map(({ subject }) => subject)).toEqual(["s"]);
  });

  it("about a sign-in, a grant, a token or a permission survives any number of calls", async () => {
    const kept = ["sign_in", "grant", "token_created", "permission"] as const;
    await env.USER.getByName(user.id).audit(kept.map((kind) => ({ ...entry, kind })));
    const calls = Array.from({ length: 10_000 }, () => entry);
    for (let batch = 0; batch < 21; batch += 1) await env.USER.getByName(user.id).audit(calls);
    const lines = (await (await user.fetch("/api/audit?format=jsonl")).text()).trim().split("\n");
    const kinds = lines.map((line) => (JSON.parse(line) as Entry).kind);
    expect(kinds.filter((kind) => kind !== "call").toReversed()).toEqual(["machine_added", ...kept]);
    // The calls themselves are bounded: 200,000, and what came in since they were last counted.
    expect(kinds.length).toBeLessThanOrEqual(210_010);
  }, 180_000); // it writes and reads 210,000 rows

  it("about an answered permission request differs from that of a call, however the tool was called", async () => {
    await send(url, call("respond_permission"));
    await user.tool("respond_permission", {
      machineId: "attic",
      session_id: "s",
      permission_id: "p",
      response: "deny",
    });
    await user.tool("call_tool", { machineId: "attic", name: "respond_permission" });
    expect((await entriesOf(user, 3)).map(({ kind }) => kind)).toEqual(["permission", "permission", "permission"]);
  });
});

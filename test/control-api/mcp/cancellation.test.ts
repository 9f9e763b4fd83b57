import { describe, expect, it } from "vitest";
import { CallCancelled, cancel, cancellable, type ClientSession } from "../../../control-api/src/mcp/cancellation.ts";
import { TestUser } from "../support/operator.ts";

/** A call that ends when its client cancels it. */
function held(client: ClientSession | null, id: string | number): Promise<string> {
  return cancellable(client, id, (cancelled) => {
    const { promise, reject } = Promise.withResolvers<string>();
    cancelled.addEventListener("abort", () => reject(new Error("the machine was told")));
    return promise;
  });
}

const alice = { user: "alice", session: "1" };

describe("cancelling a call", () => {
  it("ends the call with that id of that client, and none of another id, client or user", async () => {
    const ended: string[] = [];
    const others: [string, ClientSession, string | number][] = [
      ["another id", alice, 8],
      ["the same digits as text", alice, "7"],
      ["another client of the user", { user: "alice", session: "2" }, 7],
      ["another user with that session id", { user: "bob", session: "1" }, 7],
    ];
    for (const [name, client, id] of others) held(client, id).catch(() => ended.push(name));
    const mine = held(alice, 7);
    cancel(alice, 7);
    await expect(mine).rejects.toThrow(CallCancelled);
    expect(ended).toEqual([]);
    for (const [, client, id] of others) cancel(client, id);
    await expect.poll(() => ended.length).toBe(others.length);
  });

  it("does nothing to a call that has ended, nor to the next one with its id", async () => {
    expect(await cancellable(alice, 1, () => Promise.resolve("done"))).toBe("done");
    cancel(alice, 1);
    expect(await cancellable(alice, 1, () => Promise.resolve("done again"))).toBe("done again");
  });

  it("leaves an error as it is when nobody cancelled", async () => {
    await expect(cancellable(alice, 2, () => Promise.reject(new Error("its own")))).rejects.toThrow("its own");
  });
});

describe("initialize at /mcp", () => {
  const initialize = async (user: TestUser, protocolVersion: string): Promise<Response> => {
    const params = { protocolVersion, capabilities: {}, clientInfo: { name: "t", version: "1" } };
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params });
    const response = await user.fetch("/mcp", {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "content-length": String(body.length),
        accept: "application/json, text/event-stream",
      },
      body,
    });
    await response.text();
    return response;
  };

  it.each(["2025-11-25", "2025-06-18", "2025-03-26"])("gives each client of %s an id of its own", async (revision) => {
    const user = new TestUser();
    const ids = [await initialize(user, revision), await initialize(user, revision)].map(({ headers }) =>
      headers.get("mcp-session-id"),
    );
    for (const id of ids) expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect(ids[0]).not.toBe(ids[1]);
  });
});

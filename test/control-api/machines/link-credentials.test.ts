import { describe, expect, it } from "vitest";
import type { MachineSummary, Registration } from "#protocol/rest-api.ts";
import { expiryOf } from "#protocol/link-token.ts";
import { hashOf } from "../../../control-api/src/sign-in/access-token.ts";
import { codeOf, TestUser } from "../support/operator.ts";

const KEY = "A".repeat(43);
const OTHER_KEY = "B".repeat(43);

/** The changes of credentials sent to the script and the closes of its link, in order. */
async function told(user: TestUser, name: string): Promise<unknown[]> {
  const reached = await user.reached(name);
  return reached
    .filter(({ method, path }) => method === "POST" && /credentials|close/.test(path))
    .map(({ path, body }) => (path.endsWith("/close") ? "close" : JSON.parse(body)));
}

async function bindingsOf(user: TestUser, name: string): Promise<Record<string, string | undefined>> {
  const last = (await user.platformCalls(name)).findLast(({ method }) => method === "PUT");
  return Object.fromEntries(last?.metadata?.bindings.map((binding) => [binding["name"], binding["text"]]) ?? []);
}

/** The credentials in the script's answer to a change. */
function answering(credentials: object): {
  answers: Record<string, { body: string; headers: Record<string, string> }>;
} {
  const body = JSON.stringify({
    identity: "identity-of-attic",
    tokens: [],
    key: null,
    issuedMs: 0,
    refused: null,
    earlier: null,
    ...credentials,
  });
  const answer = { body, headers: { "content-type": "application/json" } };
  return { answers: { "POST /operator/credentials": answer, "GET /operator/credentials": answer } };
}

describe("the credentials of a machine's link", () => {
  it("are part of the first upload: the registered key, and the token's time of issue", async () => {
    const alice = new TestUser();
    await alice.register("attic", { linkKey: KEY });
    const { LINK_KEY, LINK_ISSUED_MS } = await bindingsOf(alice, "attic");
    expect(LINK_KEY).toBe(KEY);
    expect(Math.abs(Number(LINK_ISSUED_MS) - Date.now())).toBeLessThan(60_000);
    expect(await told(alice, "attic")).toEqual([]);
  });

  it("are sent to the script when they change, before its link is closed and its bindings are uploaded", async () => {
    const alice = new TestUser();
    await alice.register("attic", { linkKey: KEY });
    await alice.script("attic", answering({}));
    const rotated: Registration = await (
      await alice.rest("POST", "/api/machines/attic/token", { linkKey: OTHER_KEY })
    ).json();
    const { LINK_KEY, LINK_ISSUED_MS, LINK_TOKEN_HASH } = await bindingsOf(alice, "attic");
    expect(await told(alice, "attic")).toEqual([
      {
        change: "issue",
        issuedMs: Number(LINK_ISSUED_MS),
        identity: "identity-of-attic",
        token: { hash: LINK_TOKEN_HASH, expiresMs: expect.any(Number) },
        key: OTHER_KEY,
      },
      "close",
    ]);
    expect(LINK_KEY).toBe(OTHER_KEY);
    expect(JSON.stringify(await told(alice, "attic"))).not.toContain(rotated.token);
  });

  it.each([
    ["the script was told", answering({}), 200],
    ["the script could not be told", {}, 500],
  ])(
    "are given to the caller if the upload fails only when %s, since it takes no other token then",
    async (_, plan, status) => {
      const alice = new TestUser();
      await alice.register("once-lucky");
      await alice.script("once-lucky", plan);
      for (let times = 1; times <= 3; times += 1) {
        const rotated = await alice.rest("POST", "/api/machines/once-lucky/token", {});
        expect(rotated.status).toBe(status);
        if (status !== 200) continue;
        const { token }: Registration = await rotated.json();
        const hash = await hashOf(token ?? "");
        const issued = (await told(alice, "once-lucky")).findLast((one) => one !== "close");
        expect(issued).toMatchObject({ change: "issue", token: { hash } });
      }
    },
  );

  it("last 90 days with a key, which renews them, and years for a codez without a key", async () => {
    const alice = new TestUser();
    const days = async (response: Promise<Response>): Promise<number> => {
      const { token }: Registration = await (await response).json();
      return Math.round(((expiryOf(token ?? "") ?? 0) - Date.now()) / (24 * 60 * 60_000));
    };
    expect(await days(alice.register("attic", { linkKey: KEY }))).toBe(90);
    expect(await days(alice.register("cellar"))).toBe(3_650);
  });

  it("keep their key when a codez from before 0.3 rotates the token without a body", async () => {
    const alice = new TestUser();
    await alice.register("attic", { linkKey: KEY });
    expect((await alice.rest("POST", "/api/machines/attic/token")).status).toBe(200);
    expect((await bindingsOf(alice, "attic"))["LINK_KEY"]).toBe(KEY);
  });

  it("pass to another computer only with `replace`, and the link knows the new owner", async () => {
    const alice = new TestUser();
    await alice.register("attic", { linkKey: KEY });
    await alice.script("attic", answering({}));
    expect((await alice.register("attic", { identity: "another-computer", linkKey: OTHER_KEY })).status).toBe(409);
    expect(await told(alice, "attic")).toEqual([]);
    await alice.register("attic", { identity: "another-computer", linkKey: OTHER_KEY, replace: true });
    expect((await told(alice, "attic"))[0]).toMatchObject({
      change: "issue",
      identity: "another-computer",
      key: OTHER_KEY,
    });
  });

  it("of a computer with a new key change without a new token", async () => {
    const alice = new TestUser();
    await alice.register("attic", { linkKey: KEY });
    await alice.script("attic", answering({}));
    const again: Registration = await (await alice.register("attic", { linkKey: OTHER_KEY })).json();
    expect(again.token).toBeNull();
    expect((await told(alice, "attic"))[0]).toMatchObject({ change: "rebind", key: OTHER_KEY });
  });

  it.each(["", "short", `${"A".repeat(42)}=`, "A".repeat(44), 7, null])(
    "refuse an invalid key: %j",
    async (linkKey) => {
      const alice = new TestUser();
      const refused = await alice.register("attic", { linkKey });
      expect([refused.status, await codeOf(refused)]).toEqual([400, "invalid_request"]);
      await alice.register("attic");
      expect((await alice.rest("POST", "/api/machines/attic/token", { linkKey })).status).toBe(400);
    },
  );

  it("are uploaded with the token that the script has renewed in the meantime", async () => {
    const alice = new TestUser();
    await alice.register("attic", { linkKey: KEY });
    await alice.script("attic", answering({ tokens: [{ hash: "f".repeat(64), expiresMs: 1 }] }));
    await alice.register("attic"); // the stand-in's script has another version
    expect((await bindingsOf(alice, "attic"))["LINK_TOKEN_HASH"]).toBe("f".repeat(64));
  });
});

describe("restoring a machine", () => {
  it("reports that there is nothing to undo, and uploads nothing", async () => {
    const alice = new TestUser();
    await alice.register("attic");
    await alice.script("attic", answering({}));
    const refused = await alice.rest("POST", "/api/machines/attic/restore");
    expect([refused.status, await codeOf(refused)]).toEqual([400, "invalid_request"]);
    expect(await told(alice, "attic")).toEqual([{ change: "restore", issuedMs: expect.any(Number) }]);
  });

  it("of another user is refused like one that does not exist", async () => {
    const [alice, bob] = [new TestUser(), new TestUser()];
    await alice.machine("attic");
    const refused = await bob.rest("POST", "/api/machines/attic/restore");
    expect([refused.status, await codeOf(refused)]).toEqual([404, "machine_unknown"]);
    expect(await told(alice, "attic")).toEqual([]);
  });
});

it("lists show that a token was copied, and what to do", async () => {
  const alice = new TestUser();
  await alice.machine("attic");
  const refused = { count: 3, lastMs: Date.now(), key: null };
  await alice.report("attic", { link: { key: "k", tokenExpiresMs: null, refused, takenOverMs: null } });
  const { machines } = await alice.json<{ machines: MachineSummary[] }>("/api/machines");
  expect(machines[0]?.link?.refused).toEqual(refused);
  const listed = await alice.tool("list_machines");
  expect(JSON.stringify(listed.structuredContent)).toContain("codez rotate attic");
});

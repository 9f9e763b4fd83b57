// Root cause, of what this keeps out: each new tool and route had to remember by itself which machines its caller may see. Here all of them
// are asked, those that are added later too, as somebody who may see one machine, and as another user.
import { beforeAll, describe, expect, test } from "vitest";
import { app } from "../../../control-api/src/app.ts";
import { TOOLS } from "../../../control-api/src/mcp/tools/tool-list.ts";
import { TestUser } from "../../control-api/support/operator.ts";

const HIDDEN = "hidden-cellar";
/** Of the same length, so that nothing but the name can differ. */
const NOWHERE = "hidden-nowhere".slice(0, HIDDEN.length);

let alice: TestUser;
let strangers: { who: string; user: TestUser }[];

beforeAll(async () => {
  alice = new TestUser();
  const told = (secret: string) => [
    { type: "session.created", session: "s1", data: { slug: "-x", title: secret, cwd: `/${secret}` } },
    { type: "message", session: "s1", data: { role: "user", parts: [{ type: "text", text: secret }] } },
    {
      type: "permission.requested",
      session: "s1",
      data: {
        request_id: "r1",
        tool: "Bash",
        input: { command: secret },
        cwd: "/",
        asked_at_ms: 1,
        expires_at_ms: 9e12,
      },
    },
    { type: "session.error", session: "s1", data: { message: secret } },
  ];
  for (const [name, secret] of [
    [HIDDEN, "hidden-secret"],
    ["attic", "plain"],
  ] as const) {
    await alice.machine(name);
    await alice.report(name, { facts: { hostname: `host-of-${secret}` } as never });
    await alice.logs(name, told(secret));
  }
  const limited = await alice.rest("POST", "/api/tokens", { label: "limited", machines: ["attic"] });
  const bob = new TestUser();
  await bob.machine("attic");
  await bob.logs("attic", told("of Bob"));
  strangers = [
    { who: "limited", user: new TestUser(alice.id, (await limited.json<{ token: string }>()).token) },
    { who: "another user", user: bob },
  ];
});

/** Something for every parameter that a tool may have. */
function argumentsAbout(machine: string): Record<string, unknown> {
  const session = `${machine}/s1`;
  return { machineId: machine, session_id: session, session, machine, query: "hidden", text: "hidden", name: "echo", arguments: {}, uri: "x://y", slug: "-x", request_id: "r1", behavior: "allow", timeout_ms: 0, type: "session.*", state: "machine_gone", patch: {} }; // prettier-ignore
}

/** An answer with the name that was asked for made the same, and without what differs between any two answers. */
function sameFor(machine: string, answer: unknown): string {
  return JSON.stringify(answer)
    .replaceAll(machine, "<machine>")
    .replaceAll(/\\?"(?:cursor|\w+(?:_ms|Ms))\\?":[^,}]*/g, "");
}

describe.each(TOOLS.map(({ name, inputSchema }) => ({ name, fields: Object.keys(inputSchema.properties ?? {}) })))(
  "$name",
  ({ name, fields }) => {
    const given = (all: Record<string, unknown>, ...without: string[]) =>
      Object.fromEntries(Object.entries(all).filter(([key]) => fields.includes(key) && !without.includes(key)));

    test("tells nothing of a machine that its caller may not see, named or not", async () => {
      for (const { user } of strangers) {
        const unnamed = given(argumentsAbout("attic"), "machineId", "machine", "session_id", "session");
        for (const args of [{}, unnamed, { ...unnamed, state: undefined }])
          expect(JSON.stringify(await user.tool(name, args)).replaceAll('"hidden"', "")).not.toContain("hidden");
        for (const without of [[], ["machineId"], ["session_id", "session"]]) {
          const ask = async (machine: string) =>
            sameFor(machine, await user.tool(name, given(argumentsAbout(machine), ...without)));
          expect(await ask(HIDDEN)).toBe(await ask(NOWHERE));
        }
      }
      // Nobody but its owner has reached it.
      const reached = (await alice.reached(HIDDEN)).map(({ path }) => path);
      expect(reached).not.toContain("/mcp");
      expect(reached).not.toContain("/operator/call");
    });
  },
);

/** Without the audit log, which has the names that its owner has asked for. Limited tokens do not get it (scope-by-path.test.ts). */
const GETS = [...new Set(app.routes.filter(({ method, path }) => method === "GET" && path.startsWith("/api/") && path !== "/api/audit").map(({ path }) => path))]; // prettier-ignore

describe.each(GETS)("GET %s", (route) => {
  test("tells nothing of a machine that its caller may not see", async () => {
    for (const { user } of strangers)
      for (const query of [
        "",
        `?machine=NAME`,
        `?machine=NAME&session=s1`,
        "?session=NAME/s1",
        "?type=session.*",
        "?limit=5&format=jsonl",
      ]) {
        const ask = async (machine: string): Promise<string> => {
          const path = route.replace(":name", machine).replace(/:\w+/, "1") + query.replace("NAME", machine);
          const response = await user.fetch(path);
          const isStream = response.headers.get("content-type")?.includes("event-stream") === true;
          const text = isStream ? await beginningOf(response) : await response.text();
          return `${response.status} ${sameFor(machine, text)}`;
        };
        const [there, notThere] = [await ask(HIDDEN), await ask(NOWHERE)];
        if (!query.includes("NAME") && !route.includes(":")) expect(there).not.toContain("hidden");
        expect(there.replaceAll(/id: \S+/g, "")).toBe(notThere.replaceAll(/id: \S+/g, ""));
      }
  });
});

test("a machine that a token may not see is not told to stream, nor is whatever else has the name that was asked for", async () => {
  const watched = async (name: string): Promise<string[]> => (await alice.reached(name)).map(({ path }) => path);
  const watch = (user: TestUser, machineId?: string) =>
    user.tool("poll_events", { ...(machineId !== undefined && { machineId }), detail: "deltas", timeout_ms: 0 });
  await alice.logs(HIDDEN, [{ seq: 1_000, type: "message" }]); // it is in the middle of something
  for (const { user } of strangers) for (const machine of [HIDDEN, undefined]) await watch(user, machine);
  await watch(alice, NOWHERE);
  await watch(alice, "attic");
  // It is told last of all.
  await expect.poll(() => watched("attic")).toContain("/operator/live");
  for (const name of [HIDDEN, NOWHERE]) expect(await watched(name)).not.toContain("/operator/live");
});

/** What a stream sends at once. */
async function beginningOf(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  if (reader === undefined) return "";
  let text = "";
  const decoder = new TextDecoder();
  while (!text.includes("event: cursor")) {
    const { done, value } = await reader.read();
    if (done) break;
    text += decoder.decode(value);
  }
  await reader.cancel();
  return text;
}

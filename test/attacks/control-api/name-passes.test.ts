/**
 * Root cause: who may see what is about computers, and a caller's limit was turned into names when they were let in. A name may pass to another
 * computer the moment after, and whatever looked it up later meant that one.
 */
import { describe, expect, test } from "vitest";
import { TestUser } from "../../control-api/support/operator.ts";

const ANOTHER = { identity: "identity-of-another", replace: true };
const SECRET = { type: "session.created", session: "s2", data: { title: "of another" } };

async function limitedTo(user: TestUser, machine: string): Promise<TestUser> {
  const made = await user.rest("POST", "/api/tokens", { label: "narrow", machines: [machine] });
  return new TestUser(user.id, (await made.json<{ token: string }>()).token);
}

/** What a stream says until it ends. */
function said(response: Response): { text: string; end: Promise<void> } {
  const so = { text: "", end: Promise.resolve() };
  so.end = (async () => {
    try {
      for await (const chunk of response.body ?? []) so.text += new TextDecoder().decode(chunk as Uint8Array);
    } catch {
      // it was broken off
    }
  })();
  return so;
}

describe("a stream of a token that is limited to a computer", () => {
  test.each([
    [
      "has told something before",
      async (user: TestUser) => user.logs("attic", [{ type: "session.created", session: "s1" }]),
    ],
    ["has told nothing before", async () => undefined],
  ])("tells nothing of another one that takes its name over just then, if it %s", async (_what, before) => {
    const user = new TestUser();
    await user.machine("attic");
    await before(user);
    const narrow = await limitedTo(user, "attic");
    const stream = said(await narrow.fetch("/api/events"));
    await user.register("attic", ANOTHER);
    await user.logs("attic", [SECRET, SECRET], { epoch: "f" });
    await stream.end;
    expect(stream.text).not.toContain("of another");
  });
});

import { expect, test } from "vitest";
import { ask, Client, Visitor } from "./support/visitor.ts";

const LOCALHOST = "http://localhost:8787";

/** The link that a page has to itself at localhost. */
function elsewhere(page: string): string | null {
  const [, href] = /<a href="([^"]+)"[^>]*>\s*Open this page at localhost/.exec(page) ?? [];
  return href?.replaceAll("&amp;", "&") ?? null;
}

test("an app's request that is opened at 127.0.0.1 leads to the same request at localhost, where there are passkeys", async () => {
  const client = await Client.registered();
  const path = client.authorizePath({ scope: "mcp:tools" });
  const sent = await ask(path, {}, "http://127.0.0.1:8787");
  const signIn = sent.headers.get("location") ?? "";
  const page = await (await ask(signIn, {}, "http://127.0.0.1:8787")).text();
  expect(page).not.toContain("data-passkey");
  const there = elsewhere(page) ?? "";
  expect(there.startsWith(`${LOCALHOST}/sign-in?next=`)).toBe(true);
  expect(new URL(there).searchParams.get("next")).toBe(path);
  const same = await (await ask(there.slice(LOCALHOST.length), {}, LOCALHOST)).text();
  expect(same).toContain("data-passkey");
  expect(elsewhere(same)).toBeNull();
});

test("the account page at 127.0.0.1 leads to itself at localhost", async () => {
  const visitor = await Visitor.invited();
  expect(elsewhere(await (await visitor.get("/account")).text())).toBe(`${LOCALHOST}/account`);
});

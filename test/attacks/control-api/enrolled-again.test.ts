// Root cause: which machine came by which enrolment key was forgotten only by the sweep, up to a minute after a person had removed the machine. Until then
// a key for one machine brought it back, and a computer that its person registered as their own meanwhile was the key's, to take over and to remove.
import { expect, test } from "vitest";
import { deployServer } from "../../control-api/support/deploy-server.ts";
import { knock, ORIGIN, TestUser } from "../../control-api/support/operator.ts";

const IDENTITY = "identity-of-the-runner";

async function keyOf(user: TestUser): Promise<string> {
  const made = await user.rest("POST", "/api/keys", { tag: "ci", ephemeral: true });
  const { key }: { key: string } = await made.json();
  return key.replace(/@.*$/, "");
}

async function ask(method: "POST" | "DELETE", key: string, identity = IDENTITY): Promise<number> {
  const headers = { authorization: `Bearer ${key}` };
  const body = JSON.stringify({ identity });
  return (await knock(`${ORIGIN}/api/enrolments`, { method, headers, body })).status;
}

test("a machine that its person removed does not come back with its key for one machine", async () => {
  const user = new TestUser();
  const key = await keyOf(user);
  expect(await ask("POST", key)).toBe(201);
  expect((await user.rest("DELETE", "/api/machines/ci")).status).toBe(204);
  expect(await ask("POST", key)).toBe(403);
});

test("nor does one whose name its person gave to another computer", async () => {
  const user = new TestUser();
  const key = await keyOf(user);
  expect(await ask("POST", key)).toBe(201);
  const other = { name: "ci", identity: "identity-of-another", replace: true };
  expect((await user.rest("POST", "/api/machines", other)).status).toBe(200);
  expect(await ask("POST", key)).toBe(403);
});

test("a computer that its person registers after that is theirs: the key neither takes it over nor removes it", async () => {
  const user = new TestUser();
  const key = await keyOf(user);
  await ask("POST", key);
  await user.rest("DELETE", "/api/machines/ci");
  expect((await user.rest("POST", "/api/machines", { name: "attic", identity: IDENTITY })).status).toBe(201);
  expect(await ask("POST", key)).toBe(403);
  expect(await ask("DELETE", key)).toBe(404);
  expect((await user.rest("GET", "/api/machines/attic")).status).toBe(200);
});

test("nobody enrols as a hosted server: tokens that are limited to the server would lead to their machine", async () => {
  const user = new TestUser();
  await deployServer(user, "echo");
  const { createdMs } = await user.json<{ createdMs: number }>("/api/servers/echo");
  const made = await user.rest("POST", "/api/tokens", { label: "narrow", machines: ["echo"] });
  const { token }: { token: string } = await made.json();
  const identity = `hosted:echo:${createdMs}`;
  expect(await ask("POST", await keyOf(user), identity)).toBe(400);
  expect((await user.rest("POST", "/api/machines", { name: "attic", identity })).status).toBe(400);
  const { machines } = await new TestUser(user.id, token).json<{ machines: { name: string }[] }>("/api/machines");
  expect(machines.map(({ name }) => name)).toEqual(["echo"]);
  expect((await user.json<{ keys: { used: number }[] }>("/api/keys")).keys).toMatchObject([{ used: 0 }]);
});

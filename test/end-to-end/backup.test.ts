import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Registration } from "#protocol/rest-api.ts";
import { backUp } from "../../scripts/local/backup/backup.ts";
import { restore } from "../../scripts/local/backup/restore.ts";
import { send } from "./support/http.ts";
import { until } from "./support/eventually.ts";
import { Machine } from "./support/machine.ts";
import { TestOperator } from "./support/operator.ts";
import { ScriptedServer } from "./support/scripted-server.ts";

let operator: TestOperator;

beforeAll(async () => {
  operator = await TestOperator.start();
});

afterAll(() => operator[Symbol.asyncDispose]());

test("a backup of a working Operator restores it into an empty folder, with its tokens and its machine, whose link has got a newer one since", async () => {
  const server = await ScriptedServer.start((_, response) => void response.end("hello"));
  operator.own(server);
  const attic = await Machine.add(operator, "attic", server.url);
  const { body } = await operator.api("POST", "/api/tokens", { label: "kept" });
  const { token } = body as { token: string };
  const calls = Array.from({ length: 50 }, () => send(attic.url, { body: "{}" }));

  const file = join(operator.folder, "backup");
  await backUp(join(operator.folder, "state"), file);
  expect((await Promise.all(calls)).every(({ status }) => status === 200)).toBe(true);

  // What happens now is not in the backup, and its numbers will be given again.
  const cursor = await newestCursor();
  const formerToken = attic.tokens.token;
  const issued = Registration.parse((await operator.api("POST", "/api/machines/attic/token", {})).body);
  attic.tokens = { token: issued.token ?? "", formerToken };
  await operator.stop();
  const state = join(operator.folder, "state");
  rmSync(state, { recursive: true });
  await restore(file, state);
  const links = attic.epochs.length;
  await operator.start();
  // With the former link token, to the earlier script. The restored state may show the earlier link for a moment.
  await until("a link of its own", () => attic.epochs.length > links);
  await attic.online();
  const expired = await operator.api("GET", `/api/events?cursor=${cursor}`);
  expect(expired).toMatchObject({ status: 410, body: { error: { code: "cursor_expired" } } });
  const headers = { authorization: `Bearer ${token}` };
  expect((await send(attic.url, { body: "{}", headers })).text).toBe("hello");
});

/** Where a stream of events begins. */
async function newestCursor(): Promise<string> {
  const { body } = await operator.request("/api/events");
  let text = "";
  for await (const part of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += part;
    const [, cursor] = /^id: (.+)\n/m.exec(text) ?? [];
    if (cursor !== undefined) return cursor;
  }
  throw new Error(`the stream has no cursor: ${text}`);
}

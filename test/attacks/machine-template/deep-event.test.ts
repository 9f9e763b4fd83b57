/**
 * Root cause: the script took in data as deeply nested as it can write it, and what passes it on fails earlier: one event of one session, which a
 * repository or a server can provoke, and the log could not be read or moved to another name any more.
 */
import { afterEach, expect, it } from "vitest";
import { forget, page, TestConnector } from "../../machine-template/src/support/connector.ts";

afterEach(forget);

it("an event whose data is nested too deep is stored as that, and the log can be read", async () => {
  const connector = await TestConnector.greeted();
  const [text, deep] = [(levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`, '{"a":'];
  for (const [at, data] of [
    text(100),
    text(101),
    text(20_000),
    `${deep.repeat(150)}1${"}".repeat(150)}`,
    '["[[[{{{"]',
  ].entries())
    connector.socket.send(
      `{"type":"event","first":${at + 1},"events":[{"atMs":1,"type":"message","session":null,"data":${data}}]}`,
    );
  await connector.until(() => connector.words.some((word) => word.type === "event-ack" && word.seq === 5));
  const { events } = await page({ epoch: "", seq: 0 });
  const tooDeep = { truncated: true, reason: "nested too deep" };
  expect(events.filter(({ type }) => type === "message").map(({ data }) => data)).toEqual([
    JSON.parse(text(100)),
    tooDeep,
    tooDeep,
    tooDeep,
    ["[[[{{{"],
  ]);
});

// Root cause: calls with a key were limited in number while they waited and after they had ended, but not in size, and those that failed because their
// machine was away were in neither number. A call that failed could also be made to wait without being counted. So a token with no more than the
// right to call could fill the disk, fifty calls of 2 MB a second.
import { runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import type { DeliveryRequest } from "../../../control-api/src/delivery/delivery.ts";
import { MAX_KEPT_BYTES, MAX_ROWS, MAX_WAITING, MAX_WAITING_BYTES } from "../../../control-api/src/delivery/limits.ts";
import { Outbox } from "../../../control-api/src/delivery/outbox.ts";
import type { User } from "../../../control-api/src/user/user.ts";
import { env } from "../../control-api/support/operator.ts";

const NOW = 1_800_000_000_000;

/** Nearly the largest arguments that a call with a key may have. */
const LARGE = "x".repeat(900_000);

/** An outbox in the storage of an object of its own. */
function withOutbox(check: (outbox: Outbox, sql: SqlStorage) => void): Promise<void> {
  const object = env.USER.getByName(`outbox-${crypto.randomUUID()}`) as unknown as DurableObjectStub<User>;
  return runInDurableObject(object, (_, { storage: { sql } }) => check(new Outbox(sql), sql));
}

function call(key: string, more: Partial<DeliveryRequest> = {}): DeliveryRequest {
  const what = { machine: "attic", identity: "computer", tool: "send_prompt", digest: "", session: null, args: "{}" };
  return { scope: "token:narrow", key, ...what, isQueued: false, queueMs: 60_000, ...more };
}

test("calls that failed are remembered in a limited number", () =>
  withOutbox((outbox, sql) => {
    sql.exec(
      `WITH RECURSIVE number (n) AS (SELECT 1 UNION SELECT n + 1 FROM number WHERE n < ?1)
       INSERT INTO delivery (scope, key, machine, identity, call, tool, args, state, queued, accepted_ms, until_ms)
       SELECT 'token:narrow', 'k-' || n, 'attic', 'computer', '', 'send_prompt', '{}', 'accepted', 0, ?2, ?2 FROM number`,
      2 * MAX_ROWS,
      NOW,
    );
    outbox.accept(call("last"), NOW);
    expect(sql.exec<{ rows: number }>("SELECT count(*) AS rows FROM delivery").one().rows).toBe(MAX_ROWS + 1);
    expect([outbox.find("token:narrow", "k-1"), outbox.find("token:narrow", `k-${2 * MAX_ROWS}`)]).toEqual([
      null,
      expect.objectContaining({ state: "accepted" }),
    ]);
  }));

test("and in a limited size, the newest of them", () =>
  withOutbox((outbox, sql) => {
    const tooMany = Math.ceil(MAX_KEPT_BYTES / LARGE.length) + 5;
    for (let number = 1; number <= tooMany; number += 1) outbox.accept(call(`k-${number}`, { args: LARGE }), NOW);
    const { bytes } = sql
      .exec<{ bytes: number }>("SELECT sum(octet_length(call) + octet_length(args)) AS bytes FROM delivery")
      .one();
    expect(bytes).toBeLessThan(MAX_KEPT_BYTES + 3 * LARGE.length);
    expect(outbox.find("token:narrow", "k-1")).toBeNull();
    expect(outbox.find("token:narrow", `k-${tooMany}`)).not.toBeNull();
  }));

test("calls that wait have a limited size over all machines, and give it back", () =>
  withOutbox((outbox) => {
    const queued = (number: number): DeliveryRequest =>
      call(`k-${number}`, { machine: `machine-${number}`, args: LARGE, isQueued: true });
    const fitting = Math.floor(MAX_WAITING_BYTES / LARGE.length);
    const numbers = Array.from({ length: fitting + 1 }, (_, index) => index + 1);
    const answers = numbers.map((number) => outbox.accept(queued(number), NOW));
    expect(answers.map((answer) => answer === "full")).toEqual(numbers.map((number) => number > fitting));
    expect(outbox.cancel(outbox.find("token:narrow", "k-1")?.id ?? 0, NOW)).toBe(true);
    expect(outbox.accept(queued(fitting + 1), NOW)).toMatchObject({ isNew: true });
  }));

test("a call that failed and is to wait now counts as one that waits", () =>
  withOutbox((outbox) => {
    const keys = Array.from({ length: MAX_WAITING + 1 }, (_, index) => `k-${index + 1}`);
    for (const key of keys) outbox.accept(call(key), NOW);
    const answers = keys.map((key) => outbox.accept(call(key, { isQueued: true }), NOW));
    expect(answers.map((answer) => answer === "full")).toEqual(keys.map((_, index) => index >= MAX_WAITING));
  }));

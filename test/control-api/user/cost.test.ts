import { runInDurableObject } from "cloudflare:test";
import { expect, it } from "vitest";
import counts from "../../../scripts/cost/counts.json";
import type { User } from "../../../control-api/src/user/user.ts";
import { CountedRows, type Rows } from "../../support/counted-rows.ts";
import { env, TestUser } from "../support/operator.ts";

/** Rows that a user's object writes and reads while `work` runs. In one turn, so that nothing else that the object has to do is counted. */
function rowsOf(user: TestUser, work: (object: User) => unknown): Promise<Rows> {
  const stub = env.USER.getByName(user.id) as unknown as DurableObjectStub<User>;
  return runInDurableObject(stub, (object, { storage }) => {
    const rows = new CountedRows(storage);
    expect(work(object)).not.toBeInstanceOf(Promise);
    return rows.end();
  });
}

it("a report of an idle machine writes no more rows in its owner's object than the budget allows", async () => {
  const alice = new TestUser();
  await alice.machine("attic");
  await alice.report("attic", {});
  const slug = await alice.slug("attic");
  const presence = {
    online: true,
    epoch: 1,
    connectedAtMs: 1,
    lastSeenMs: 3,
    position: { epoch: "e", seq: 0 },
    template: "t",
  };
  const rows = await rowsOf(alice, (object) => object.record(slug, presence, null));
  expect(rows.written).toBeGreaterThan(0);
  expect(rows.written).toBeLessThanOrEqual(counts.idleCheck.reportRows);
  expect(rows.read).toBeLessThanOrEqual(counts.idleCheck.reportRowsRead);
});

it("a call writes one row of the audit log", async () => {
  const alice = new TestUser();
  await alice.machine("attic");
  const call = { kind: "call", client: "c", machine: "attic", subject: "echo", digest: null } as const;
  const audit = (object: User): unknown => object.audit([{ ...call, atMs: Date.now(), outcome: "ok", durationMs: 1 }]);
  // The first entry after a start, and one in an hour, also looks for old ones to delete.
  await rowsOf(alice, audit);
  const rows = await rowsOf(alice, audit);
  expect(rows.written).toBe(counts.call.auditRows);
  expect(rows.read).toBeLessThanOrEqual(counts.call.auditRowsRead);
});

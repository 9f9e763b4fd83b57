import { runInDurableObject } from "cloudflare:test";
import { expect, it } from "vitest";
import counts from "../../../scripts/cost/counts.json";
import type { User } from "../../../control-api/src/user/user.ts";
import { RowsWritten } from "../../support/rows-written.ts";
import { env, TestUser } from "../support/operator.ts";

/** Rows that a user's object writes while `work` runs. In one turn, so that nothing else that the object has to do is counted. */
function rowsOf(user: TestUser, work: (object: User) => unknown): Promise<number> {
  const stub = env.USER.getByName(user.id) as unknown as DurableObjectStub<User>;
  return runInDurableObject(stub, (object, { storage }) => {
    const rows = new RowsWritten(storage);
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
  expect(rows).toBeGreaterThan(0);
  expect(rows).toBeLessThanOrEqual(counts.idleCheck.reportRows);
});

it("a call writes one row of the audit log", async () => {
  const alice = new TestUser();
  await alice.machine("attic");
  const call = { kind: "call", client: "c", machine: "attic", subject: "echo", digest: null } as const;
  const rows = await rowsOf(alice, (object) => object.audit([{ ...call, atMs: 1, outcome: "ok", durationMs: 1 }]));
  expect(rows).toBe(counts.call.auditRows);
});

import { expect, it } from "vitest";
import { boundLimits } from "../../../control-api/src/webhooks/bound-limits.ts";
import { shownSubscription } from "../../../control-api/src/webhooks/shown-subscription.ts";
import { type Subscription, wants } from "../../../control-api/src/webhooks/subscription.ts";

const SUBSCRIPTION: Subscription = {
  id: "sub",
  kind: "webhook",
  client: "owner",
  credential: null,
  types: null,
  filter: { machine: null, session: null },
  visible: null,
  url: "https://push.example/secret",
  createdMs: 0,
  expiresMs: null,
  hasEnded: false,
  suspendedMs: null,
  failedSinceMs: null,
  lastDeliveryMs: null,
  lastFault: null,
  hasGap: false,
  push: null,
};
const PUSH = { browser: "b", muted: ["attic-id"], quiet: null, zone: "UTC", showsContent: false };
const ATTIC = { name: "attic", identity: "attic-id" };

/** Whether it hears of an event, by the computer and the session of that. */
function hears(more: Partial<Subscription>, identity: string | null, session: string | null = null): boolean {
  return wants({ ...SUBSCRIPTION, ...more }, "session.idle", { event: { session }, identity });
}

it("a subscription hears of the computers that it is limited to, and not of one that nobody knows", () => {
  for (const limited of [{ visible: ["attic-id"] }, { filter: { machine: ATTIC, session: null } }]) {
    expect(hears(limited, "attic-id")).toBe(true);
    expect(hears(limited, "shed-id")).toBe(false);
    expect(hears(limited, null)).toBe(false);
  }
  expect(hears({ visible: [] }, "attic-id")).toBe(false);
  const nobody = { machine: { ...ATTIC, identity: "" }, session: null };
  expect([hears({ filter: nobody }, "attic-id"), hears({ filter: nobody }, null)]).toEqual([false, false]);
  expect(hears({ visible: ["shed-id"], filter: { machine: ATTIC, session: null } }, "attic-id")).toBe(false);
  expect(hears({ push: PUSH }, "attic-id")).toBe(false);
  expect(hears({ push: PUSH }, null)).toBe(true);
});

it("a subscription to a session hears of that one, also when its machine has another name, and of nothing without a session", () => {
  const filter = { machine: ATTIC, session: "attic/one" };
  expect(hears({ filter }, "attic-id", "attic/one")).toBe(true);
  expect(hears({ filter }, "attic-id", "renamed/one")).toBe(true);
  expect(hears({ filter }, "attic-id", "attic/two")).toBe(false);
  expect(hears({ filter }, "attic-id", null)).toBe(false);
  expect(hears({ filter }, "shed-id", "attic/one")).toBe(false);
});

it("limits that an earlier release stored by names are never more than they were", () => {
  const identities = new Map([
    ["attic", "attic-id"],
    ["unknown", ""],
  ]);
  const by = (name: string) => ({
    filter: { machine: { name, identity: "" }, session: null },
    visible: [],
    push: null,
  });
  const all = { machines: null };
  expect(boundLimits(by("attic"), identities, all)).toEqual({
    filter: { machine: ATTIC, session: null },
    visible: null,
    push: null,
  });
  expect(boundLimits(by("attic"), identities, { machines: ["attic-id"] })?.visible).toEqual(["attic-id"]);
  expect(boundLimits(by("attic"), identities, null)?.visible).toEqual([]);
  expect(boundLimits(by("gone"), identities, all)?.filter.machine).toEqual({ name: "gone", identity: "" });
  expect(boundLimits(by("unknown"), identities, all)).toBeNull();
  const browser = { ...by("attic"), push: { ...PUSH, muted: ["attic", "gone"] } };
  expect(boundLimits(browser, identities, all)?.push?.muted).toEqual(["attic-id"]);
});

it("a person is shown names and no identities, and no address of a push service", () => {
  const filter = { machine: ATTIC, session: "attic/one" };
  const one = { ...SUBSCRIPTION, filter, visible: ["attic-id", "gone-id"], push: { ...PUSH, muted: ["attic-id"] } };
  const shown = shownSubscription(one, (identity) => (identity === "attic-id" ? "loft" : undefined));
  expect(shown).toMatchObject({ visible: ["loft"], push: { muted: ["loft"] }, isPaused: false });
  expect(shown.filter).toEqual({ machine: "loft", session: "loft/one" });
  expect(shown.url).toBe("https://push.example");
  expect(JSON.stringify(shown)).not.toContain("-id");
});

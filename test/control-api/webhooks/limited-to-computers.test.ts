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
const PUSH = { browser: "b", muted: ["attic-id"], mutedNames: [], quiet: null, zone: "UTC", showsContent: false };
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
    limits: { filter: { machine: ATTIC, session: null }, visible: null, push: null },
    isBound: true,
  });
  expect(boundLimits(by("attic"), identities, { machines: ["attic-id"] }).limits.visible).toEqual(["attic-id"]);
  expect(boundLimits(by("attic"), identities, null).limits.visible).toEqual([]);
  const nobody = (name: string) => ({ name, identity: "" });
  expect(boundLimits(by("gone"), identities, all)).toMatchObject({ limits: { filter: { machine: nobody("gone") } }, isBound: true }); // prettier-ignore
  expect(boundLimits(by("unknown"), identities, all)).toMatchObject({ limits: { filter: { machine: nobody("unknown") } }, isBound: false }); // prettier-ignore
});

it("of the machines that an earlier release muted by names, each is bound as soon as its computer is known", () => {
  const push = { ...PUSH, mutedNames: ["attic", "unknown", "gone"], muted: [] };
  const limits = { filter: { machine: null, session: null }, visible: null, push };
  const identities = new Map([
    ["attic", "attic-id"],
    ["unknown", ""],
  ]);
  const first = boundLimits(limits, identities, { machines: null });
  expect(first).toMatchObject({ limits: { push: { muted: ["attic-id"], mutedNames: ["unknown"] } }, isBound: false });
  const later = boundLimits(first.limits, new Map([["unknown", "known-id"]]), { machines: null });
  expect(later).toMatchObject({ limits: { push: { muted: ["attic-id", "known-id"], mutedNames: [] } }, isBound: true });
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

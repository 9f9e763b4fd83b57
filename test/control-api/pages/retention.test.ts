import { describe, expect, test } from "vitest";
import { env } from "../support/operator.ts";
import { pageOf, type Somebody, somebody, textOf } from "./support/person.ts";

const EVERYTHING = { days: 30, events: 250_000 };

/** A person with 1,200 events of a machine, and Operator's own notice of the new machine. */
async function withEvents(): Promise<Somebody & { stored: number }> {
  const alice = await somebody();
  await alice.user.machine("attic");
  await alice.user.logs(
    "attic",
    Array.from({ length: 1_200 }, () => ({ type: "message", session: "s1" })),
  );
  // It is written after the answer, and counts as an event.
  await expect.poll(() => env.USER.getByName(alice.user.id).notices(9)).toHaveLength(1);
  const { stored } = await alice.user.json<{ stored: number }>("/api/history/retention?days=30&events=250000");
  expect(stored).toBe(1_201);
  return { ...alice, stored };
}

const count = (value: number): string => value.toLocaleString("en-US");

async function save({ browser }: Somebody, form: Record<string, string>): Promise<{ status: number; text: string }> {
  const response = await browser.post("/retention", { csrf: await browser.csrf("/retention"), ...form });
  return { status: response.status, text: textOf(await response.text()) };
}

describe("the page of kept events", () => {
  test("is linked from the account page, and shows what applies and how many events there are", async () => {
    const alice = await withEvents();
    expect(await pageOf(alice, "/account")).toContain('href="/retention"');
    const page = await pageOf(alice, "/retention");
    expect(textOf(page)).toContain(`It has ${count(alice.stored)} events now. Those older than 30 days are deleted`);
    expect(page).toMatch(/name="days"[^>]*value="30"/);
    expect(page).toMatch(/name="events"[^>]*value="250000"/);
  });

  test("says how many events a choice deletes, and deletes them only when that is confirmed", async () => {
    const alice = await withEvents();
    const asked = await save(alice, { days: "7", events: "1000" });
    expect(asked).toMatchObject({
      status: 200,
      text: expect.stringContaining(
        `This deletes ${alice.stored - 1_000} of ${count(alice.stored)} events now. It cannot be undone.`,
      ),
    });
    expect(await alice.user.json("/api/history/retention")).toEqual(EVERYTHING);
    expect((await save(alice, { days: "7", events: "1000", sure: "yes" })).text).toContain(
      `${alice.stored - 1_000} events were deleted.`,
    );
    expect(await alice.user.json("/api/history/retention")).toEqual({ days: 7, events: 1_000 });
    expect(textOf(await pageOf(alice, "/retention"))).toContain("It has 1,000 events now.");
  });

  test("makes a choice that deletes nothing at once", async () => {
    const alice = await withEvents();
    expect((await save(alice, { days: "90", events: "5000" })).text).toContain("Saved. Nothing was deleted.");
    expect(await alice.user.json("/api/history/retention")).toEqual({ days: 90, events: 5_000 });
  });

  test.each([
    { days: "0", events: "1000" },
    { days: "", events: "1000" },
    { days: "7", events: "many" },
    { days: "7", events: "999", sure: "yes" },
  ])("refuses %j with the rule", async (form) => {
    const alice = await somebody();
    const refused = await save(alice, form);
    expect(refused).toMatchObject({
      status: 400,
      text: expect.stringContaining("Nothing was changed. Enter whole numbers, days from 1 to 365"),
    });
    expect(await alice.user.json("/api/history/retention")).toEqual(EVERYTHING);
  });
});

test("the REST API says what a choice would delete, and changes nothing", async () => {
  const alice = await withEvents();
  const path = "/api/history/retention";
  expect(await alice.user.json(`${path}?days=7&events=1000`)).toEqual({
    days: 7,
    events: 1_000,
    stored: alice.stored,
    deletes: alice.stored - 1_000,
  });
  expect(await alice.user.json(path)).toEqual(EVERYTHING);
  expect((await alice.user.rest("GET", `${path}?days=7`)).status).toBe(400);
});

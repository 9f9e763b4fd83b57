import { afterEach, expect, it } from "vitest";
import { forget, page, TestConnector } from "../../machine-template/src/support/connector.ts";

/**
 * A machine could send events of the types with which its script reports on the link. A hostile one could so announce that its link
 * was bound or restored, or that it went offline, in its script's name.
 */

afterEach(forget);

it("a machine cannot send an event of a type that only its script may write", async () => {
  const connector = await TestConnector.greeted();
  const forged = ["link.restored", "link.key_bound", "machine.offline", "machine.x"];
  await connector.push(
    1,
    [...forged, "machinery", "linked", "session.created"].map((type) => ({ type })),
  );
  const { events } = await page({ epoch: "", seq: 0 });
  expect(events.map(({ type }) => type)).toEqual([
    "machine.online",
    ...forged.map(() => "reported"),
    "machinery",
    "linked",
    "session.created",
  ]);
});

import { describe, expect, it } from "vitest";
import { occurrenceOf } from "../../../control-api/src/mcp-events/occurrence.ts";

const entry = (type: string, data: unknown, atMs = 0) =>
  occurrenceOf({
    id: "evt_1",
    cursor: "1",
    event: { machine: "attic", seq: 1, atMs, type, session: "attic/s1", data },
    identity: null,
  });

describe("an entry of the log", () => {
  it("outside the catalogue is not an event", () => {
    for (const type of ["message", "message.delta", "tool.started", "mcp.notifications/message", "session.updated"])
      expect(entry(type, { status: "busy" }), type).toBeNull();
  });

  it("never becomes a message above 256 KiB, however its data grows as JSON", () => {
    for (const message of ["x".repeat(300_000), "é".repeat(150_000), "\u0000".repeat(60_000)]) {
      const occurrence = entry("session.error", { message })?.occurrence;
      expect(JSON.stringify(occurrence).length).toBeLessThan(1_000);
      expect(occurrence?.data).toEqual({ machine: "attic", session: "attic/s1", truncated: true });
    }
    expect(entry("session.error", { message: "x".repeat(200_000) })?.occurrence.data["truncated"]).toBeUndefined();
  });

  it("says so if the log cut it", () => {
    expect(entry("session.error", { truncated: true, bytes: 100_000 })?.occurrence.data).toEqual({
      machine: "attic",
      session: "attic/s1",
      truncated: true,
    });
  });

  it.each([-1, 9e15, Number.MAX_SAFE_INTEGER])("with the time %d has a printable time", (atMs) => {
    expect(entry("session.error", {}, atMs)?.occurrence.timestamp).toMatch(/Z$/);
  });
});

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { EventLog, type ServeEvent } from "../../../../scripts/serve/event-log.ts";
import { asksRoute } from "../../../../scripts/serve/permission/ask-route.ts";
import { PermissionBook } from "../../../../scripts/serve/permission/book.ts";
import { seeded } from "../../../../scripts/system/random.ts";

const SESSION = "00000000-0000-4000-8000-000000000000";

/** Lets everything run that is ready to, a random number of times. */
async function breathe(random: () => number): Promise<void> {
  for (let turns = Math.floor(random() * 4); turns > 0; turns -= 1) await Promise.resolve();
  if (random() < 0.3) await new Promise((resolve) => setImmediate(resolve));
}

it("1,000 races between a terminal, a page, the machine and the clock settle each request once, and the hook gets just that", async () => {
  const folder = mkdtempSync(join(tmpdir(), "codez-races-"));
  const outcomes = new Map<string, number>();
  for (let seed = 1; seed <= 1_000; seed += 1) {
    const random = seeded(seed);
    let nowMs = 0;
    const events = new EventLog(() => nowMs);
    const told: ServeEvent[] = [];
    events.subscribe((event) => told.push(event));
    const book = new PermissionBook(
      join(folder, "permissions.json"),
      events,
      () => 60_000,
      () => nowMs,
    );
    const route = asksRoute(book, "token");
    const terminal = new AbortController();
    const ask = { session: SESSION, cwd: "/", tool: "Bash", toolUse: "t", input: { command: "ls" } };
    const request = new Request("http://127.0.0.1/local/asks", { method: "POST", signal: terminal.signal });
    const response = await route.handle(request, JSON.stringify(ask));
    const answered = response.text();
    const [waiting] = book.pending();
    const id = waiting?.id ?? "";
    const settle = (behavior: "allow" | "deny", by: "operator" | "machine"): void => {
      try {
        book.respond(id, behavior === "allow" ? { behavior } : { behavior, reason: "no" }, by, by);
      } catch (reason) {
        expect((reason as { error: { code: string } }).error.code, `seed ${seed}`).toBe("request_settled");
      }
    };
    const moves = [
      () => terminal.abort(),
      () => settle("allow", "operator"),
      () => settle("deny", "operator"),
      () => settle("allow", "machine"),
      () => {
        nowMs += 60_001;
        book.expire();
      },
    ].toSorted(() => random() - 0.5);
    await Promise.all(
      moves.map(async (move) => {
        await breathe(random);
        move();
      }),
    );
    const text = await answered;
    await book.stop();
    const settled = told.filter(({ type }) => type === "permission.resolved");
    expect(settled, `seed ${seed}`).toHaveLength(1);
    const { settled: final } = book.get(id);
    expect(settled[0]?.data, `seed ${seed}`).toMatchObject({ behavior: final?.behavior, settled_by: final?.by });
    const isDecided = final?.by === "operator" || final?.by === "machine";
    // Whoever hung up reads nothing; otherwise the hook has the decision, or nothing if nobody decided.
    expect(text === "" ? null : JSON.parse(text).behavior, `seed ${seed}`).toBe(isDecided ? final.behavior : null);
    outcomes.set(final?.by ?? "", (outcomes.get(final?.by ?? "") ?? 0) + 1);
  }
  rmSync(folder, { recursive: true, force: true });
  // Each of them wins some of the races, or they were none.
  for (const by of ["terminal", "operator", "machine", "expiry"]) expect(outcomes.get(by), by).toBeGreaterThan(50);
}, 120_000);

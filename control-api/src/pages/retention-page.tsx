import { Note } from "../design/note.tsx";
import { RETENTION_LIMITS, type Retention, type RetentionEffect } from "../history/retention.ts";

type RetentionPageProps = {
  /** What applies now. */
  readonly now: Retention;
  readonly stored: number;
  readonly csrf: string;
  readonly said?: { readonly kind: "bad" | "good"; readonly text: string };
  /** A choice that would delete something, and how much. */
  readonly asked?: Retention & RetentionEffect;
};

/** How long events are kept, and the form that changes it. */
export function RetentionPage({ now, stored, csrf, said, asked }: RetentionPageProps) {
  const { minDays, maxDays, minEvents, maxEvents } = RETENTION_LIMITS;
  return (
    <div class="narrow">
      <a class="back" href="/account">
        ‹ Account
      </a>
      <h1>Kept events</h1>
      {said === undefined ? null : <Note kind={said.kind}>{said.text}</Note>}
      {asked === undefined ? null : <Question asked={asked} csrf={csrf} />}
      <section class="card">
        <p class="soft">
          Operator keeps what happens on your machines in one log. It has {count(stored)} events now. Those older than{" "}
          {count(now.days)} days are deleted, and of more than {count(now.events)} events the oldest. Sessions stay in
          the list with their title, and each machine keeps its own files.
        </p>
        <form method="post" action="/retention">
          <input type="hidden" name="csrf" value={csrf} />
          <label>
            Days
            <input type="number" name="days" min={minDays} max={maxDays} value={asked?.days ?? now.days} required />
          </label>
          <label>
            Events
            <input
              type="number"
              name="events"
              min={minEvents}
              max={maxEvents}
              value={asked?.events ?? now.events}
              required
            />
          </label>
          <button>Save</button>
        </form>
      </section>
    </div>
  );
}

function Question({
  asked: { days, events, stored, deletes },
  csrf,
}: {
  asked: Retention & RetentionEffect;
  csrf: string;
}) {
  return (
    <Note kind="bad">
      {`This deletes ${count(deletes)} of ${count(stored)} events now. It cannot be undone.`}
      <form method="post" action="/retention">
        <input type="hidden" name="csrf" value={csrf} />
        <input type="hidden" name="days" value={days} />
        <input type="hidden" name="events" value={events} />
        <button name="sure" value="yes">
          {`Delete ${count(deletes)} events`}
        </button>{" "}
        <a href="/retention">Change nothing</a>
      </form>
    </Note>
  );
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}

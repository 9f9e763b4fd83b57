import type { Child } from "hono/jsx";
import { printable } from "#protocol/printable.ts";
import { Ago } from "../design/ago.tsx";
import { Note } from "../design/note.tsx";
import { Empty, Live } from "../design/parts.tsx";
import type { InboxItem } from "../inbox/inbox-item.ts";
import type { PageApproval } from "../machines/machine-record.ts";
import { settlerText } from "../inbox/settler-text.ts";
import { sessionPath } from "./address.ts";
import { AskedCard } from "./asked-card.tsx";

/** `href`: the page of the session that was decided about. */
export type Said = { readonly kind: "bad" | "good"; readonly text: string; readonly href?: string };

type InboxProps = {
  readonly csrf: string;
  /** Whether the person may allow something without confirming first that it is them. */
  readonly isFresh: boolean;
  /** What the person wants pages to allow, for the machines where that is less than everything. */
  readonly approvals: ReadonlyMap<string, PageApproval>;
  readonly waiting: readonly InboxItem[];
  readonly hasMore: boolean;
  readonly settled: readonly InboxItem[];
  readonly nowMs: number;
  /** The log's cursor when the page was made: it hears of what comes after. */
  readonly after: string;
  /** The request that the person came for, which stands first. */
  readonly opened: InboxItem | null;
  readonly said?: Said;
};

/** The inbox page: everything that waits for this person, in full, and what was decided lately. */
export function InboxPageView(props: InboxProps) {
  const { settled, said, hasMore, opened, nowMs } = props;
  const isOpen = opened !== null && opened.settled === null && opened.untilMs > nowMs;
  const waiting = isOpen ? [opened, ...props.waiting.filter(({ id }) => id !== opened.id)] : props.waiting;
  return (
    <div class="narrow" data-live="/live" data-after={props.after}>
      <div class="head">
        <h1>Needs you</h1>
        <a class="button plain small" href="/notifications">
          Notifications
        </a>
      </div>
      {said === undefined ? null : (
        <Note kind={said.kind}>
          {said.text} {said.href === undefined ? null : <a href={said.href}>Go to the session</a>}
        </Note>
      )}
      {opened === null || isOpen ? null : (
        <Note kind="good">
          {nameOf(opened)} is decided: {outcomeOf(opened)}.
        </Note>
      )}
      <Live id="inbox">
        {waiting.length === 0 ? (
          <div class="section">
            <Empty title="Nothing waits for you">
              <p>What your sessions ask for appears here by itself.</p>
            </Empty>
          </div>
        ) : (
          <p class="soft">
            {`${waiting.length}${hasMore ? " and more" : ""} waiting. The first answer counts, wherever it is given.`}
          </p>
        )}
        {waiting.map((item) => (
          <AskedCard
            item={item}
            csrf={props.csrf}
            isFresh={props.isFresh}
            approval={props.approvals.get(item.machine) ?? "session"}
            nowMs={nowMs}
            {...(item.session === null ? {} : { sessionHref: sessionPath(item.machine, item.session) })}
          />
        ))}
        {settled.length === 0 ? null : <Settled items={settled} />}
      </Live>
    </div>
  );
}

function Settled({ items }: { readonly items: readonly InboxItem[] }) {
  return (
    <section class="card">
      <h2>Decided lately</h2>
      <ul class="list">
        {items.map((item) => (
          <li>
            <span>
              {nameOf(item)}
              <br />
              <span class="soft">{outcomeOf(item)}</span>
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function nameOf({ kind, tool, machine }: InboxItem): string {
  return `${kind === "permission" ? printable(tool) : kind} on ${machine}`;
}

function outcomeOf(item: InboxItem): Child {
  const { settled, untilMs } = item;
  if (settled === null)
    return (
      <>
        nobody decided it in time, <Ago ms={untilMs} />
      </>
    );
  const word = settled.by === "terminal" ? "answered" : settled.behavior === "allow" ? "allowed" : "denied";
  return (
    <>
      {`${word} by ${printable(settlerText({ ...item, settled }))}, `}
      <Ago ms={settled.atMs} />
    </>
  );
}

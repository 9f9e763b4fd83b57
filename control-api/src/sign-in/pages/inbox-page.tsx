import type { Question } from "#protocol/ask.ts";
import { printable, printableJson, printableLines } from "#protocol/printable.ts";
import { inputOf, planOf, questionsOf } from "../../inbox/asked-input.ts";
import type { InboxItem } from "../../inbox/inbox-item.ts";
import { settlerText } from "../../inbox/settler-text.ts";
import { Note } from "./note.tsx";

export type Said = { readonly kind: "bad" | "good"; readonly text: string };

type InboxProps = {
  readonly csrf: string;
  /** Whether the person may allow something without confirming first that it is them. */
  readonly isFresh: boolean;
  readonly waiting: readonly InboxItem[];
  readonly hasMore: boolean;
  readonly settled: readonly InboxItem[];
  readonly nowMs: number;
  readonly said?: Said;
};

/**
 * The inbox page: everything that waits for this person, in full. All that a machine, model or server wrote is shown with invisible
 * characters written out, so that nothing can look like something else.
 */
export function InboxPageView(props: InboxProps) {
  const { waiting, settled, said, hasMore } = props;
  return (
    <>
      <section class="card">
        <h1>Inbox</h1>
        {said === undefined ? null : <Note kind={said.kind}>{said.text}</Note>}
        <p class="soft">
          {waiting.length === 0
            ? "No session waits for you."
            : `${waiting.length}${hasMore ? " and more" : ""} waiting. The first answer counts, wherever it is given.`}
        </p>
        <a class="button plain" href="/inbox">
          Look again
        </a>
      </section>
      {waiting.map((item) => (
        <Waiting item={item} {...props} />
      ))}
      {settled.length === 0 ? null : <Settled items={settled} />}
    </>
  );
}

function Waiting({ item, csrf, isFresh, nowMs }: { readonly item: InboxItem } & InboxProps) {
  const { machine, project, cwd, title, why, kind, decision } = item;
  return (
    <section class="card">
      <h2>{headingOf(item)}</h2>
      <dl>
        <dt>Machine</dt>
        <dd>{machine}</dd>
        {cwd === null ? null : <Fact name="Folder" text={cwd} />}
        {cwd === null && project !== null ? <Fact name="Project" text={project} /> : null}
        {title === null ? null : <Fact name="Session" text={title} />}
        {why === null ? null : <Fact name="Because" text={why} />}
        <Fact name="Waits" text={`since ${spanOf(nowMs - item.askedMs)}, for ${spanOf(item.untilMs - nowMs)} more`} />
      </dl>
      {decision !== null ? (
        <Note kind="warn">
          {decision.behavior === "allow" ? "Allowed" : "Denied"} by {printable(decision.by.name)}. The machine has not
          taken it yet.
        </Note>
      ) : kind === "question" && item.isWhole ? (
        <QuestionForm item={item} csrf={csrf} isFresh={isFresh} />
      ) : (
        <>
          <Asked item={item} />
          <DecisionForm item={item} csrf={csrf} isFresh={isFresh} />
        </>
      )}
    </section>
  );
}

function headingOf({ kind, tool }: InboxItem): string {
  switch (kind) {
    case "permission":
      return `May it use ${printable(tool)}?`;
    case "question":
      return "It asks you";
    case "plan":
      return "It proposes a plan";
  }
}

function Fact({ name, text }: { readonly name: string; readonly text: string }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{printable(text)}</dd>
    </>
  );
}

/** What is asked, whole: a command or a plan as its text, everything else as JSON. */
function Asked({ item }: { readonly item: InboxItem }) {
  const { isWhole } = item;
  const plan = item.kind === "plan" ? planOf(item) : null;
  const text = plan === null ? printableJson(inputOf(item), 2) : printableLines(plan);
  return (
    <>
      {isWhole ? null : (
        <Note kind="warn">
          This is not all of it: it is too large to be shown here. It can be denied here, and allowed only on its
          machine, with codez permissions.
        </Note>
      )}
      <pre class="asked">{text}</pre>
    </>
  );
}

type FormProps = { readonly item: InboxItem; readonly csrf: string; readonly isFresh: boolean };

function DecisionForm({ item: { id, kind, isWhole }, csrf, isFresh }: FormProps) {
  return (
    <>
      {isWhole && !isFresh ? <ConfirmFirst /> : null}
      <form method="post" action={`/inbox/${id}`}>
        <input type="hidden" name="csrf" value={csrf} />
        <label>
          {kind === "plan" ? "What should be different?" : "Reason, if you deny it"}
          <textarea name="reason" rows={2} maxlength={2_000}></textarea>
        </label>
        <div class="row">
          <button class="plain" name="behavior" value="deny">
            {kind === "plan" ? "Send back" : "Deny"}
          </button>
          {isWhole && isFresh ? (
            <button name="behavior" value="allow">
              {kind === "plan" ? "Approve" : "Allow once"}
            </button>
          ) : null}
        </div>
      </form>
    </>
  );
}

function QuestionForm({ item, csrf, isFresh }: FormProps) {
  const { id } = item;
  return (
    <>
      <form method="post" action={`/inbox/${id}`}>
        <input type="hidden" name="csrf" value={csrf} />
        {questionsOf(item).map((question, index) => (
          <QuestionFields question={question} index={index} />
        ))}
        {isFresh ? (
          <button name="behavior" value="allow">
            Answer
          </button>
        ) : (
          <ConfirmFirst />
        )}
      </form>
      <form method="post" action={`/inbox/${id}`}>
        <input type="hidden" name="csrf" value={csrf} />
        <button class="plain" name="behavior" value="deny">
          Do not answer
        </button>
      </form>
    </>
  );
}

function QuestionFields({ question, index }: { readonly question: Question; readonly index: number }) {
  const { question: text, options = [], multiSelect = false } = question;
  return (
    <fieldset>
      <legend>{printableLines(text)}</legend>
      {options.map(({ label, description }) => (
        <label class="pick">
          <input type={multiSelect ? "checkbox" : "radio"} name={`answer-${index}`} value={label} />
          <span>
            {printable(label)}
            {description === undefined ? null : (
              <>
                <br />
                <span class="soft">{printable(description)}</span>
              </>
            )}
          </span>
        </label>
      ))}
      <label>
        {options.length === 0 ? "Your answer" : "Or in your own words"}
        <textarea name={`other-${index}`} rows={2} maxlength={4_000}></textarea>
      </label>
    </fieldset>
  );
}

/** In place of the buttons that allow something, so that nobody fills in a form that would be refused. */
function ConfirmFirst() {
  return (
    <p>
      <a class="button plain" href="/sign-in/confirm?next=%2Finbox">
        Confirm that it is you to allow this
      </a>
    </p>
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
              {item.kind === "permission" ? printable(item.tool) : item.kind} on {item.machine}
              <br />
              <span class="soft">{outcomeOf(item)}</span>
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function outcomeOf({ settled, machine, untilMs }: InboxItem): string {
  if (settled === null) return `nobody decided until ${minute(untilMs)}`;
  const word = settled.behavior === "allow" ? "allowed" : "denied";
  return `${word} by ${printable(settlerText(settled, machine))}, ${minute(settled.atMs)}`;
}

/** The last instant that `Date` can represent (ECMA-262, "Time Values"). A machine may claim any time. */
const LAST_DATE_MS = 8.64e15;

function minute(ms: number): string {
  return new Date(Math.min(Math.max(ms, 0), LAST_DATE_MS)).toISOString().slice(0, 16).replace("T", " ");
}

function spanOf(ms: number): string {
  const minutes = Math.max(0, Math.round(ms / 60_000));
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

import type { Question } from "#protocol/ask.ts";
import { printable } from "#protocol/printable.ts";
import { Ago } from "../design/ago.tsx";
import { Note } from "../design/note.tsx";
import { questionsOf } from "../inbox/asked-input.ts";
import type { InboxItem } from "../inbox/inbox-item.ts";
import type { PageApproval } from "../machines/machine-record.ts";
import { machinePath } from "./address.ts";
import { AskedLines } from "./asked-lines.tsx";
import { Asked } from "./asked-text.tsx";

type CardProps = {
  readonly item: InboxItem;
  readonly csrf: string;
  /** Whether the person may allow something without confirming first that it is them. */
  readonly isFresh: boolean;
  /** What the person wants pages to allow for the machine. */
  readonly approval: PageApproval;
  readonly nowMs: number;
  /** The page of the session that asks, unless the card stands on it. */
  readonly sessionHref?: string;
};

/**
 * Something that waits for a person: what is asked, in full, and the form that decides it. All that a machine, model or server wrote is
 * shown with invisible characters written out, so that nothing can look like something else.
 */
export function AskedCard({ item, csrf, isFresh, approval, nowMs, sessionHref }: CardProps) {
  const { machine, project, cwd, title, why, kind, decision, id } = item;
  return (
    // Without a name of its own: it would be a landmark, of which two requests of the same tool could not be told apart.
    <section class="card ask" id={`ask-${id}`}>
      <h2 id={headingId(id)}>
        <Heading item={item} />
      </h2>
      <p class="soft">
        {machine}
        {cwd === null && project === null ? null : (
          <>
            {" · "}
            <bdi>{printable(cwd ?? project ?? "")}</bdi>
          </>
        )}
        {title === null || sessionHref === undefined ? null : (
          <a class="of" href={sessionHref}>
            <bdi>{printable(title)}</bdi>
          </a>
        )}
        <span class="when">
          Asked <Ago ms={item.askedMs} nowMs={nowMs} />
          {`, waits for ${spanOf(item.untilMs - nowMs)} more`}
        </span>
      </p>
      {why === null ? null : (
        <p class="soft">
          Why it asks: <bdi>{printable(why)}</bdi>
        </p>
      )}
      {decision !== null ? (
        <Note kind="warn">
          {decision.behavior === "allow" ? "Allowed" : "Denied"} by {printable(decision.by.name)}. The machine has not
          taken it yet.
        </Note>
      ) : kind === "question" && item.isWhole ? (
        <QuestionForm item={item} csrf={csrf} isFresh={isFresh} approval={approval} />
      ) : (
        <>
          <Asked item={item} />
          <DecisionForm item={item} csrf={csrf} isFresh={isFresh} approval={approval} />
        </>
      )}
    </section>
  );
}

function Heading({ item: { kind, tool } }: Pick<CardProps, "item">) {
  switch (kind) {
    case "permission":
      return (
        <>
          May it use <bdi>{printable(tool)}</bdi>?
        </>
      );
    case "question":
      return <>It asks you</>;
    case "plan":
      return <>It proposes a plan</>;
  }
}

/** Which request a button belongs to, for those who hear the page. */
function headingId(id: number): string {
  return `what-${id}`;
}

type FormProps = Pick<CardProps, "item" | "csrf" | "isFresh" | "approval">;

function DecisionForm({ item, csrf, isFresh, approval }: FormProps) {
  const { id, kind, isWhole, machine, sessionRules = [] } = item;
  const mayAllow = isWhole && approval !== "nothing";
  const hasRules = mayAllow && isFresh && kind === "permission" && sessionRules.length > 0;
  return (
    <>
      {isWhole && !mayAllow ? <Closed machine={machine} /> : null}
      {mayAllow && !isFresh ? <ConfirmFirst id={id} /> : null}
      <form method="post" action={`/inbox/${id}`}>
        <input type="hidden" name="csrf" value={csrf} />
        <details class="plain">
          <summary>{kind === "plan" ? "Say what should be different" : "Deny with a reason"}</summary>
          <textarea
            name="reason"
            rows={2}
            maxlength={2_000}
            aria-label={kind === "plan" ? "What should be different" : "Reason"}
          ></textarea>
        </details>
        <div class="row">
          <button class="plain" name="behavior" value="deny" aria-describedby={headingId(id)}>
            {kind === "plan" ? "Send back" : "Deny"}
          </button>
          {mayAllow && isFresh ? (
            <button name="behavior" value="allow" aria-describedby={headingId(id)}>
              {kind === "plan" ? "Approve" : "Allow once"}
            </button>
          ) : null}
        </div>
        {hasRules && approval === "once" ? (
          <p class="soft after">
            For machine {machine}, these pages allow single requests only.{" "}
            <a href={`${machinePath(machine)}#approval`}>Change that</a>
          </p>
        ) : null}
        {hasRules && approval === "session" ? (
          <details class="plain">
            <summary>Allow for this session</summary>
            <p class="soft">
              Allows this, and from then on without asking, until the session ends. Only what these rules of the agent
              say:
            </p>
            <ul class="soft">
              {sessionRules.map((rule) => (
                <li>
                  <code class="exact">{printable(rule)}</code>
                </li>
              ))}
            </ul>
            <button class="plain" name="behavior" value="allow-session" aria-describedby={headingId(id)}>
              Allow for this session
            </button>
          </details>
        ) : null}
      </form>
    </>
  );
}

function QuestionForm({ item, csrf, isFresh, approval }: FormProps) {
  const { id, machine } = item;
  const isClosed = approval === "nothing";
  return (
    <>
      {isClosed ? <Closed machine={machine} /> : null}
      <form method="post" action={`/inbox/${id}`}>
        <input type="hidden" name="csrf" value={csrf} />
        {questionsOf(item).map((question, index) => (
          <QuestionFields question={question} index={index} isClosed={isClosed} />
        ))}
        {isClosed ? null : isFresh ? (
          <button name="behavior" value="allow" aria-describedby={headingId(id)}>
            Answer
          </button>
        ) : (
          <ConfirmFirst id={id} />
        )}
      </form>
      <form method="post" action={`/inbox/${id}`}>
        <input type="hidden" name="csrf" value={csrf} />
        <button class="plain" name="behavior" value="deny" aria-describedby={headingId(id)}>
          Do not answer
        </button>
      </form>
    </>
  );
}

type FieldsProps = {
  readonly question: Question;
  readonly index: number;
  /** Whether it can only be read here. */
  readonly isClosed: boolean;
};

function QuestionFields({ question, index, isClosed }: FieldsProps) {
  const { question: text, options = [], multiSelect = false } = question;
  return (
    <fieldset disabled={isClosed}>
      <legend>
        <bdi>
          <AskedLines text={text} />
        </bdi>
      </legend>
      {options.map(({ label, description }) => (
        <label class="pick">
          <input type={multiSelect ? "checkbox" : "radio"} name={`answer-${index}`} value={label} />
          <span>
            <bdi>{printable(label)}</bdi>
            {description === undefined ? null : (
              <>
                <br />
                <bdi class="soft">{printable(description)}</bdi>
              </>
            )}
          </span>
        </label>
      ))}
      {isClosed ? null : (
        <label>
          {options.length === 0 ? "Your answer" : "Or in your own words"}
          <textarea name={`other-${index}`} rows={2} maxlength={4_000}></textarea>
        </label>
      )}
    </fieldset>
  );
}

/** In place of the buttons that allow something, where the machine's setting refuses it. */
function Closed({ machine }: { readonly machine: string }) {
  return (
    <Note kind="warn">
      On these pages nothing may be allowed for machine {machine}, because its setting says so.{" "}
      <a href={`${machinePath(machine)}#approval`}>Change the setting</a>, or answer on the machine with{" "}
      <code>codez permissions</code>.
    </Note>
  );
}

/** In place of the buttons that allow something, so that nobody fills in a form that would be refused. */
function ConfirmFirst({ id }: { readonly id: number }) {
  return (
    <p>
      <a class="button plain" href={`/sign-in/confirm?next=%2Finbox%2F${id}`}>
        Confirm that it is you to allow this
      </a>
    </p>
  );
}

function spanOf(ms: number): string {
  const minutes = Math.max(0, Math.round(ms / 60_000));
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

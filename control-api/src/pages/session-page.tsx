import { Ago } from "../design/ago.tsx";
import { Foreign } from "../design/foreign.tsx";
import { Note } from "../design/note.tsx";
import { Empty, Live, Status } from "../design/parts.tsx";
import type { InboxItem } from "../inbox/inbox-item.ts";
import type { PageApproval } from "../machines/machine-record.ts";
import type { ListedSession } from "../history/session-query.ts";
import { FileField } from "./file-field.tsx";
import { AskedCard } from "./asked-card.tsx";
import { machinePath, sessionPath } from "./address.ts";
import { BRIEF, Conversation, FULL } from "./conversation/conversation.tsx";
import { jsonText } from "./conversation/json-text.ts";
import { Block } from "./conversation/tool-call.tsx";
import type { Reading } from "./session-reading.ts";
import { costText, projectName, stateOf, stateWord, toneOf } from "./session-row.tsx";

/** A command is shown whole wherever it can be: nobody can judge what they cannot see. */
const PENDING_CHARACTERS = 20_000;

type SessionProps = {
  readonly machine: string;
  readonly session: string;
  readonly known: ListedSession | null;
  readonly reading: Reading;
  /** What the session waits for. A machine of an older release tells of that only when it is asked (`reading.pending`). */
  readonly asked: readonly InboxItem[];
  readonly isFresh: boolean;
  /** What the person wants pages to allow for the machine. */
  readonly approval: PageApproval;
  /** Which machine the page shows, for its forms (http/shown-machine.ts); `""` if it is gone. */
  readonly shown: string;
  /** The log's cursor when the page was made: its stream goes on from there. */
  readonly after: string;
  readonly csrf: string;
  /** Makes a prompt that is sent twice one prompt. */
  readonly promptKey: string;
  readonly failed: { readonly said: string; readonly typed?: string } | undefined;
};

/** One session: what it is doing, its conversation, and what to say to it. */
export function SessionPage(props: SessionProps) {
  const { machine, session, reading, after } = props;
  const { messages, older, cursor, isFull, instead } = reading;
  const isNewest = cursor === null;
  const path = sessionPath(machine, session);
  const query = (more: Record<string, string>): string => `${path}?${new URLSearchParams(more)}`;
  const full: Record<string, string> = isFull ? { full: "1" } : {};
  return (
    <div class="session">
      <Live id="session-bar">
        <Bar {...props} />
      </Live>
      <Live id="session">
        <Meta {...props} />
      </Live>
      {older === null ? null : (
        <p>
          <a class="button plain small" href={`${query({ cursor: older, ...full })}#main`}>
            Older messages
          </a>
        </p>
      )}
      <div
        class="talk"
        {...(isNewest ? { "data-stream": `${path}/stream`, "data-after": after } : {})}
        aria-live={isNewest ? "polite" : undefined}
      >
        {messages.length === 0 ? (
          <Empty title="Nothing was said here yet">
            <p>{instead === null ? "Send the first prompt below." : "No messages were seen of this session."}</p>
          </Empty>
        ) : (
          <Conversation
            messages={messages}
            limits={isFull ? FULL : BRIEF}
            partPath={(handle) => `${path}/part?${new URLSearchParams({ handle })}`}
          />
        )}
        <p class="writing" data-writing hidden></p>
      </div>
      {isNewest ? null : (
        <p>
          <a href={path}>Newest messages</a>
        </p>
      )}
      {isFull || messages.length === 0 ? null : (
        <p class="soft">
          Long output is cut short here.{" "}
          <a href={query({ ...(cursor === null ? {} : { cursor }), full: "1" })}>Show more of it</a>
        </p>
      )}
      {instead === null ? null : (
        <Note kind="warn">
          <Foreign text={instead} limit={500} /> Shown is what Operator saw of the session while it ran.
        </Note>
      )}
      <Live id="asked">
        <Waiting {...props} />
      </Live>
      {reading.isReachable ? (
        <Actions
          csrf={props.csrf}
          shown={props.shown}
          path={path}
          isMirror={reading.status === "mirror"}
          isNewest={isNewest}
        />
      ) : null}
      {isNewest ? <Composer {...props} path={path} /> : null}
    </div>
  );
}

/** What the session waits for, at its end: there the page opens, and there the session goes on. */
function Waiting({ asked, csrf, isFresh, approval, reading }: SessionProps) {
  if (asked.length > 0)
    return (
      <>
        {asked.map((item) => (
          <AskedCard item={item} csrf={csrf} isFresh={isFresh} approval={approval} nowMs={Date.now()} />
        ))}
      </>
    );
  return (
    <>
      {reading.pending.map(({ tool, input }) => (
        <section class="card ask">
          <h2>
            Waits for permission: <Foreign text={tool} limit={60} />
          </h2>
          <Block text={commandIn(input) ?? jsonText(input, PENDING_CHARACTERS)} limit={PENDING_CHARACTERS} />
          <p class="soft">
            Answer it on the machine, with <code>codez permissions</code>.
          </p>
        </section>
      ))}
    </>
  );
}

type ActionsProps = {
  readonly csrf: string;
  readonly shown: string;
  readonly path: string;
  readonly isMirror: boolean;
  readonly isNewest: boolean;
};

/** What is done with a session now and then. */
function Actions({ csrf, shown, path, isMirror, isNewest }: ActionsProps) {
  return (
    <form class="actions" method="post" action={`${path}/fork`} data-once>
      <input type="hidden" name="csrf" value={csrf} />
      <input type="hidden" name="machine" value={shown} />
      <a class="button plain small" href={`${path}/changes`}>
        Changes
      </a>
      {isNewest ? <button class="plain small">Go on in a copy</button> : null}
      {isMirror || !isNewest ? null : (
        <button class="danger small" formaction={`${path}/end`}>
          End
        </button>
      )}
    </form>
  );
}

/** Stays in sight while one reads: which session this is, and what it is doing. */
function Bar({ known, reading }: SessionProps) {
  const state = known === null ? null : stateOf(known);
  return (
    <div class="bar">
      <a class="up" href="/sessions" aria-label="Sessions">
        ‹
      </a>
      <h1>
        <Foreign text={reading.title} />
      </h1>
      {state === null ? null : state === "waiting" ? (
        <a class="to" href="#asked">
          <Status tone={toneOf(state)}>{stateWord(state)}</Status>
        </a>
      ) : (
        <Status tone={toneOf(state)}>{stateWord(state)}</Status>
      )}
    </div>
  );
}

function Meta({ machine, known, reading }: SessionProps) {
  const { costUsd, model } = reading;
  const isGone = known?.machineGone === true;
  return (
    <p class="soft meta">
      {isGone ? machine : <a href={machinePath(machine)}>{machine}</a>}
      {known?.status === "offline" ? " (offline)" : ""}
      {known === null || known.project === null ? null : (
        <>
          {" · "}
          <Foreign text={known.cwd ?? projectName(known.project, null)} limit={200} />
        </>
      )}
      {model === null ? null : (
        <>
          {" · "}
          <Foreign text={model} limit={60} />
        </>
      )}
      {costUsd === null || costUsd === 0 ? null : ` · ${costText(costUsd)}`}
      {known === null ? null : (
        <>
          {" · "}
          <Ago ms={known.lastMs} />
        </>
      )}
    </p>
  );
}

function Composer({
  reading,
  known,
  path,
  csrf,
  shown,
  promptKey,
  failed,
  machine,
}: SessionProps & { readonly path: string }) {
  if (!reading.isReachable)
    return failed === undefined ? null : (
      <Note kind="bad">
        <Foreign text={failed.said} limit={500} />
      </Note>
    );
  const isBusy = known?.state === "running" || known?.state === "waiting" || reading.status === "busy";
  return (
    <section class="composer" aria-label="Prompt">
      {failed === undefined ? null : (
        <Note kind="bad">
          <Foreign text={failed.said} limit={500} />
        </Note>
      )}
      {reading.status === "mirror" ? (
        <p class="soft">
          This session is open in a terminal on {machine}, where prompts are typed. To go on from here, make a copy of
          it.
        </p>
      ) : (
        <form method="post" action={`${path}/prompt`} enctype="multipart/form-data" data-once>
          <input type="hidden" name="csrf" value={csrf} />
          <input type="hidden" name="machine" value={shown} />
          <input type="hidden" name="key" value={promptKey} />
          <FileField />
          <textarea name="text" placeholder="Prompt" aria-label="Prompt" rows={1} data-sends required>
            {failed?.typed ?? ""}
          </textarea>
          <button>Send</button>
          {isBusy ? (
            <button class="danger" formaction={`${path}/abort`} formnovalidate>
              Stop
            </button>
          ) : null}
        </form>
      )}
    </section>
  );
}

function commandIn(input: unknown): string | null {
  const command = typeof input === "object" && input !== null && "command" in input ? input.command : null;
  return typeof command === "string" ? command : null;
}

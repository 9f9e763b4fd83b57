import { MachineSelect } from "../design/machine-select.tsx";
import { Ago } from "../design/ago.tsx";
import { Foreign } from "../design/foreign.tsx";
import { Note } from "../design/note.tsx";
import { Copy, Status } from "../design/parts.tsx";
import { choicesOf } from "../http/shown-machine.ts";
import type { MachineEntry } from "../machines/machine-query.ts";
import { PUSH_TOPICS } from "../push/push-settings.ts";
import type { Added } from "../webhooks/add-request.ts";
import type { Overview } from "../webhooks/webhooks-rpc.ts";

type Listed = Overview["subscriptions"][number];

/** What became of a form. It stands in the part of the page that has the form: at its beginning, unless `of` names another one. */
export type SaidOfForm = { readonly kind: "bad" | "good"; readonly text: string; readonly of?: "receivers" };

/** Why a receiver did not take a message, in words. */
export const FAULTS: Record<NonNullable<Listed["lastFault"]>, string> = {
  connection_refused: "it could not be reached",
  timeout: "it did not answer in time",
  tls_error: "its certificate was not accepted",
  http_4xx: "it refused the message (HTTP 4xx)",
  http_5xx: "it failed (HTTP 5xx)",
  challenge_failed: "it did not confirm that it wants these messages",
};

/** What was put into the form for a new receiver, which was refused. */
export type Typed = {
  readonly url: string;
  readonly kind: "webhook" | "ntfy";
  /** Names of topics. */
  readonly topics: readonly string[];
  readonly isAll: boolean;
  /** The value of the field `machine`. */
  readonly machine: string;
};

type ReceiversProps = {
  readonly csrf: string;
  /** Whether the person may add something without confirming first that it is them. */
  readonly isFresh: boolean;
  readonly subscriptions: readonly Listed[];
  readonly dead: Overview["dead"];
  readonly machines: readonly MachineEntry[];
  /** What was just added. Its secret is shown only now. */
  readonly added?: Added;
  readonly typed?: Typed;
  readonly said?: SaidOfForm;
};

/** Everything besides browsers that is told of events, with the state of its last delivery, and the form that adds to it. */
export function Receivers({ csrf, isFresh, subscriptions, dead, machines, added, typed, said }: ReceiversProps) {
  const isOfAdding = added !== undefined || typed !== undefined;
  const note = said?.of === "receivers" ? <Note kind={said.kind}>{said.text}</Note> : null;
  return (
    <section class="card" id="receivers">
      <h2>ntfy and webhooks</h2>
      {isOfAdding ? null : note}
      {subscriptions.length === 0 ? null : (
        <ul class="list">
          {subscriptions.map((one) => (
            <Receiver
              one={one}
              csrf={csrf}
              given={dead.filter(({ subscription }) => subscription === one.id).length}
              hasSuccessor={machines.some(({ name }) => name === one.filter.machine)}
            />
          ))}
        </ul>
      )}
      <div id="added">
        {isOfAdding ? note : null}
        {added === undefined || added.secret === null ? null : (
          <>
            <p>
              The secret with which messages to <Foreign text={added.url} /> are signed. It is shown only now.
            </p>
            <Copy text={added.secret} label="the secret" />
          </>
        )}
        <details class="plain" open={typed !== undefined}>
          <summary>Add one</summary>
          {isFresh ? (
            <AddForm csrf={csrf} machines={machines} {...(typed === undefined ? {} : { typed })} />
          ) : (
            <a class="button plain" id="add" href="/sign-in/confirm?next=%2Fnotifications%23add">
              Confirm that it is you to add one
            </a>
          )}
        </details>
      </div>
    </section>
  );
}

type ReceiverProps = {
  readonly one: Listed;
  readonly csrf: string;
  readonly given: number;
  /** Whether a machine has the name now to which it is limited. */
  readonly hasSuccessor: boolean;
};

function Receiver({ one, csrf, given, hasSuccessor }: ReceiverProps) {
  const { id, kind, client, url, types, filter, pending } = one;
  // Which receiver a button belongs to, for those who hear the page.
  const nameId = `name-${id}`;
  return (
    <li class="receiver">
      <span>
        <span id={nameId}>
          <Foreign text={kind === "client" ? client : url} />
        </span>
        <br />
        <span class="soft">
          {kind === "client" ? "an app, at " : kind === "ntfy" ? "ntfy, " : "webhook, "}
          {kind === "client" ? <Foreign text={new URL(url).host} /> : null}
          {kind === "client" ? ", " : ""}
          {types === null ? "everything" : topicsOf(types)}
          {filter.machine === null ? "" : `, on ${filter.machine}`}
          <br />
          <State one={one} hasSuccessor={hasSuccessor} />
          {pending === 0 ? "" : `, ${pending} waiting`}
          {given === 0 ? "" : `, ${given} given up`}
        </span>
      </span>
      <form method="post" class="actions">
        <input type="hidden" name="csrf" value={csrf} />
        <button
          class="plain small"
          formaction={`/notifications/receivers/${id}/test#receivers`}
          aria-describedby={nameId}
        >
          Test
        </button>
        {given === 0 ? null : (
          <button
            class="plain small"
            formaction={`/notifications/receivers/${id}/retry#receivers`}
            aria-describedby={nameId}
          >
            Send again
          </button>
        )}
        <button class="danger small" formaction={`/notifications/receivers/${id}/remove`} aria-describedby={nameId}>
          Remove
        </button>
      </form>
    </li>
  );
}

function State({ one, hasSuccessor }: Pick<ReceiverProps, "one" | "hasSuccessor">) {
  const { kind, filter, isPaused, suspendedMs, failedSinceMs, lastFault, lastDeliveryMs } = one;
  const why = lastFault === null ? "" : `: ${FAULTS[lastFault]}`;
  const again = kind === "client" ? "have the app subscribe again" : "add it again";
  if (isPaused)
    return (
      <>
        <Status tone="warn">Paused</Status>
        {hasSuccessor
          ? ` Another computer is called ${filter.machine} now. This goes on when the former one is back. To hear of the new one, remove this and ${again}.`
          : ` The computer that was called ${filter.machine} was removed. This goes on when it is back.`}
      </>
    );
  if (suspendedMs !== null)
    return (
      <>
        <Status tone="bad">Stopped</Status>
        {` after failing for long${why}`}
      </>
    );
  if (failedSinceMs !== null)
    return (
      <>
        <Status tone="warn">Failing</Status> since <Ago ms={failedSinceMs} />
        {why}
      </>
    );
  if (lastDeliveryMs === null) return <Status tone="quiet">Nothing sent yet</Status>;
  return (
    <>
      <Status tone="good">Delivered</Status> <Ago ms={lastDeliveryMs} />
    </>
  );
}

/** Types of events as the page's ticks name them; others by their own names. */
function topicsOf(types: readonly string[]): string {
  const topics = PUSH_TOPICS.filter((topic) => topic.types.every((type) => types.includes(type)));
  const named: ReadonlySet<string> = new Set(topics.flatMap((topic) => [...topic.types]));
  return [...topics.map(({ title }) => title), ...types.filter((type) => !named.has(type))].join(", ").toLowerCase();
}

type AddProps = Pick<ReceiversProps, "csrf" | "machines" | "typed">;

function AddForm({ csrf, machines, typed }: AddProps) {
  return (
    <form method="post" action="/notifications/receivers#added" id="add">
      <input type="hidden" name="csrf" value={csrf} />
      <fieldset>
        <legend>Kind</legend>
        <label class="pick">
          <input type="radio" name="kind" value="ntfy" checked={typed?.kind !== "webhook"} />
          <span>
            A topic of ntfy
            <br />
            <span class="soft">Notifications in the ntfy app, as this page's browsers get them.</span>
          </span>
        </label>
        <label class="pick">
          <input type="radio" name="kind" value="webhook" checked={typed?.kind === "webhook"} />
          <span>
            A webhook
            <br />
            <span class="soft">
              Events with their content as JSON, signed as Standard Webhooks says, for a program of yours.
            </span>
          </span>
        </label>
      </fieldset>
      <label>
        Address
        <input
          name="url"
          type="url"
          inputmode="url"
          autocapitalize="none"
          autocomplete="off"
          spellcheck={false}
          placeholder="https://ntfy.sh/my-topic"
          value={typed?.url}
          maxlength={2_048}
          required
        />
      </label>
      <fieldset>
        <legend>Tell it when</legend>
        {PUSH_TOPICS.map(({ name, title, isDefault }) => (
          <label class="pick">
            <input
              type="checkbox"
              name={`tell-${name}`}
              value="yes"
              checked={typed?.topics.includes(name) ?? isDefault}
            />
            <span>{title}</span>
          </label>
        ))}
        <label class="pick">
          <input type="checkbox" name="all" value="yes" checked={typed?.isAll === true} />
          <span>Anything else happens, too</span>
        </label>
      </fieldset>
      {machines.length === 0 ? null : (
        <label>
          Of
          <MachineSelect machines={choicesOf(machines)} chosen={typed?.machine} />
        </label>
      )}
      <button>Add</button>
    </form>
  );
}

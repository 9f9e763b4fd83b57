import { MachineSelect } from "../design/machine-select.tsx";
import { Ago } from "../design/ago.tsx";
import { Foreign } from "../design/foreign.tsx";
import { Copy, Status } from "../design/parts.tsx";
import { choicesOf } from "../http/shown-machine.ts";
import type { MachineEntry } from "../machines/machine-query.ts";
import { PUSH_TOPICS } from "../push/push-settings.ts";
import type { Added } from "../webhooks/add-request.ts";
import type { Overview } from "../webhooks/webhooks-rpc.ts";

type Listed = Overview["subscriptions"][number];

/** Why a receiver did not take a message, in words. */
export const FAULTS: Record<NonNullable<Listed["lastFault"]>, string> = {
  connection_refused: "it could not be reached",
  timeout: "it did not answer in time",
  tls_error: "its certificate was not accepted",
  http_4xx: "it refused the message (HTTP 4xx)",
  http_5xx: "it failed (HTTP 5xx)",
  challenge_failed: "it did not confirm that it wants these messages",
};

type ReceiversProps = {
  readonly csrf: string;
  readonly subscriptions: readonly Listed[];
  readonly dead: Overview["dead"];
  readonly machines: readonly MachineEntry[];
  /** What was just added. Its secret is shown only now. */
  readonly added?: Added;
  /** What was typed into a form that was refused. */
  readonly typed?: { readonly url: string; readonly kind: "webhook" | "ntfy" };
};

/** Everything besides browsers that is told of events, with the state of its last delivery, and the form that adds to it. */
export function Receivers({ csrf, subscriptions, dead, machines, added, typed }: ReceiversProps) {
  return (
    <section class="card" id="receivers">
      <h2>ntfy and webhooks</h2>
      {added === undefined || added.secret === null ? null : (
        <>
          <p>
            The secret with which messages to <Foreign text={added.url} /> are signed. It is shown only now.
          </p>
          <Copy text={added.secret} label="the secret" />
        </>
      )}
      {subscriptions.length === 0 ? null : (
        <ul class="list">
          {subscriptions.map((one) => (
            <Receiver one={one} csrf={csrf} given={dead.filter(({ subscription }) => subscription === one.id).length} />
          ))}
        </ul>
      )}
      <details class="plain" open={typed !== undefined}>
        <summary>Add one</summary>
        <AddForm csrf={csrf} machines={machines} {...(typed === undefined ? {} : { typed })} />
      </details>
    </section>
  );
}

type ReceiverProps = { readonly one: Listed; readonly csrf: string; readonly given: number };

function Receiver({ one, csrf, given }: ReceiverProps) {
  const { id, kind, client, url, types, filter, pending } = one;
  return (
    <li class="receiver">
      <span>
        <Foreign text={kind === "client" ? client : url} />
        <br />
        <span class="soft">
          {kind === "client" ? "an app, at " : kind === "ntfy" ? "ntfy, " : "webhook, "}
          {kind === "client" ? <Foreign text={new URL(url).host} /> : null}
          {kind === "client" ? ", " : ""}
          {types === null ? "everything" : topicsOf(types)}
          {filter.machine === null ? "" : `, on ${filter.machine}`}
          <br />
          <State one={one} />
          {pending === 0 ? "" : `, ${pending} waiting`}
          {given === 0 ? "" : `, ${given} given up`}
        </span>
      </span>
      <form method="post" class="actions">
        <input type="hidden" name="csrf" value={csrf} />
        <button class="plain small" formaction={`/notifications/receivers/${id}/test`}>
          Test
        </button>
        {given === 0 ? null : (
          <button class="plain small" formaction={`/notifications/receivers/${id}/retry`}>
            Send again
          </button>
        )}
        <button class="danger small" formaction={`/notifications/receivers/${id}/remove`}>
          Remove
        </button>
      </form>
    </li>
  );
}

function State({ one }: { readonly one: Listed }) {
  const { kind, filter, isPaused, suspendedMs, failedSinceMs, lastFault, lastDeliveryMs } = one;
  const why = lastFault === null ? "" : `: ${FAULTS[lastFault]}`;
  const again = kind === "client" ? "have the app subscribe again" : "add it again";
  if (isPaused)
    return (
      <>
        <Status tone="warn">Paused</Status>
        {`: the computer that it was limited to was removed, or another one is called ${filter.machine} now. It goes on when that computer is back. To hear of the one that has the name now, remove this and ${again}.`}
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
    <form method="post" action="/notifications/receivers">
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
            <input type="checkbox" name={`tell-${name}`} value="yes" checked={isDefault} />
            <span>{title}</span>
          </label>
        ))}
        <label class="pick">
          <input type="checkbox" name="all" value="yes" />
          <span>Anything else happens, too</span>
        </label>
      </fieldset>
      {machines.length === 0 ? null : (
        <label>
          Of
          <MachineSelect machines={choicesOf(machines)} />
        </label>
      )}
      <button>Add</button>
    </form>
  );
}

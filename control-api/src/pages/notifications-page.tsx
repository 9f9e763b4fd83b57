import { Ago } from "../design/ago.tsx";
import { Note } from "../design/note.tsx";
import { choicesOf } from "../http/shown-machine.ts";
import type { MachineEntry } from "../machines/machine-query.ts";
import { PUSH_TOPICS, type PushSettings } from "../push/push-settings.ts";
import { SERVICE_WORKER_PATH } from "../push/service-worker.ts";
import type { Added } from "../webhooks/add-request.ts";
import type { Overview } from "../webhooks/webhooks-rpc.ts";
import { FAULTS, Receivers, type SaidOfForm, type Typed } from "./receiver-card.tsx";

type Listed = Overview["subscriptions"][number];
type Browser = Listed & { readonly push: PushSettings };

type NotificationsProps = {
  readonly csrf: string;
  /** The key to which this person's browsers bind their subscriptions. */
  readonly pushKey: string;
  readonly subscriptions: readonly Listed[];
  /** The credential of the browser that shows the page. */
  readonly thisBrowser: string;
  readonly machines: readonly MachineEntry[];
  readonly dead: Overview["dead"];
  readonly added?: Added;
  readonly typed?: Typed;
  readonly said?: SaidOfForm;
  /** Whether the person may add a receiver without confirming first that it is them. */
  readonly isFresh: boolean;
};

/** The notifications page: this browser first, then the others, then webhooks and ntfy. */
export function NotificationsPage(props: NotificationsProps) {
  const { subscriptions, thisBrowser, said } = props;
  const browsers = subscriptions.filter((one): one is Browser => one.push !== null);
  const here = browsers.find((one) => one.credential === thisBrowser);
  const others = browsers.filter((one) => one !== here);
  return (
    <div class="narrow">
      <a class="back" href="/account">
        ‹ Account
      </a>
      <h1>Notifications</h1>
      {said === undefined || said.of === "receivers" ? null : <Note kind={said.kind}>{said.text}</Note>}
      {here === undefined ? <TurnOn {...props} /> : <BrowserCard {...props} browser={here} isHere />}
      {others.map((browser) => (
        <BrowserCard {...props} browser={browser} />
      ))}
      <Receivers {...props} subscriptions={subscriptions.filter(({ push }) => push === null)} />
    </div>
  );
}

/** Subscribing needs a script by its nature. Without one the card says so. */
function TurnOn({ csrf, pushKey }: NotificationsProps) {
  return (
    <section class="card">
      <h2>This browser</h2>
      <p class="soft">
        Be told on this device when a session waits for you or has finished, also while this page is closed. A
        notification names the machine, the project and the session by its title, and nothing that a session says. Only
        this browser can read it: it is encrypted on its way.
      </p>
      <form data-needs-script hidden>
        <input type="hidden" name="csrf" value={csrf} />
        <button type="button" data-push={SERVICE_WORKER_PATH} data-key={pushKey}>
          Turn on notifications
        </button>
        <p class="soft hint" role="status"></p>
      </form>
      <noscript>
        <p class="soft">Notifications in a browser need JavaScript. ntfy and webhooks work without it.</p>
      </noscript>
    </section>
  );
}

type BrowserProps = NotificationsProps & { readonly browser: Browser; readonly isHere?: true };

function BrowserCard({ csrf, machines, browser: { id, push, types, ...state }, isHere }: BrowserProps) {
  const token = <input type="hidden" name="csrf" value={csrf} />;
  const { quiet, muted, showsContent, zone } = push;
  const choices = choicesOf(machines);
  return (
    <section class="card">
      <h2>{isHere === true ? `This browser: ${push.browser}` : push.browser}</h2>
      <p class="soft">
        Since <Ago ms={state.createdMs} />
        {state.lastDeliveryMs === null ? null : (
          <>
            , last notification <Ago ms={state.lastDeliveryMs} />
          </>
        )}
        {state.lastFault === null ? null : `. The last one did not arrive: ${FAULTS[state.lastFault]}`}
      </p>
      <form method="post" action={`/notifications/${id}`}>
        {token}
        <fieldset>
          <legend>Tell me when</legend>
          {PUSH_TOPICS.map((topic) => (
            <Tick name={`topic-${topic.name}`} isOn={topic.types.every((type) => types?.includes(type) ?? true)}>
              {topic.title}
            </Tick>
          ))}
        </fieldset>
        {machines.length === 0 ? null : (
          <details class="plain" open={muted.length > 0}>
            <summary>
              {machines.some(({ name }) => muted.includes(name)) ? "On some machines" : "On all machines"}
            </summary>
            <fieldset>
              <legend class="soft">A machine that you add later is included.</legend>
              <input type="hidden" name="offered" value={choices.map(({ value }) => value).join(" ")} />
              {choices.map(({ name, value }) => (
                <Tick name="machine" value={value} isOn={!muted.includes(name)}>
                  {name}
                </Tick>
              ))}
            </fieldset>
          </details>
        )}
        <fieldset>
          <legend>Quiet hours</legend>
          <div class="row">
            <label>
              From
              <input type="time" name="from" value={quiet === null ? "" : clock(quiet.from)} />
            </label>
            <label>
              Until
              <input type="time" name="until" value={quiet === null ? "" : clock(quiet.until)} />
            </label>
          </div>
          <p class="soft hint">
            {`In the time zone ${zone}. What still waits for you is told when they end; the rest is left out.`}
          </p>
        </fieldset>
        <Tick name="content" isOn={showsContent}>
          Show what is asked, also while this device is locked
        </Tick>
        <button>Save</button>
      </form>
      <hr />
      <div class="actions">
        <form method="post" action={`/notifications/${id}/test`}>
          {token}
          <button class="plain small">Send a test</button>
        </form>
        <form method="post" action={`/notifications/${id}/remove`}>
          {token}
          <button class="plain small">Turn off</button>
        </form>
      </div>
    </section>
  );
}

type TickProps = {
  readonly name: string;
  readonly value?: string;
  readonly isOn: boolean;
  readonly children?: unknown;
};

function Tick({ name, value = "yes", isOn, children }: TickProps) {
  return (
    <label class="pick">
      <input type="checkbox" name={name} value={value} checked={isOn} />
      <span>{children}</span>
    </label>
  );
}

function clock(minutes: number): string {
  return `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;
}

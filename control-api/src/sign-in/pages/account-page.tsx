import { type NoticeRecord, sentenceOf } from "../../audit/notice.ts";
import { Ago } from "../../design/ago.tsx";
import { PASSKEY_NAME_CHARACTERS } from "../accounts/passkeys.ts";
import { PASSWORD_MIN } from "../accounts/password.ts";
import type { PasskeyRecord } from "../accounts/passkeys.ts";
import type { Person } from "../accounts/people.ts";
import type { SessionRecord } from "../accounts/sessions.ts";
import { knownScopes, mayAct, mayAdminister } from "../../http/scope.ts";
import { choicesOf, type Identified, shownAs } from "../../http/shown-machine.ts";
import { UNKNOWN_ADDRESS } from "../address.ts";
import type { GrantRecord } from "../grants.ts";
import { Foreign } from "../../design/foreign.tsx";
import { MachineSelect } from "../../design/machine-select.tsx";
import { Note } from "../../design/note.tsx";
import { Copy } from "../../design/parts.tsx";
import { QrCode } from "../../design/qr-code.tsx";
import { PasskeyButton } from "./passkey-button.tsx";
import { PasskeysElsewhere } from "./passkeys-elsewhere.tsx";
import { PasswordField } from "./password-field.tsx";

/** Notices that are shown before somebody asks for more, so that what can be changed is not far down. */
const FIRST_NOTICES = 3;

type AccountProps = {
  readonly person: Person;
  readonly csrf: string;
  /** Whether the person may make changes that give lasting access without confirming first that it is them. */
  readonly isFresh: boolean;
  readonly notices: readonly NoticeRecord[];
  readonly grants: readonly (GrantRecord & { readonly machineNames: readonly string[] | null })[];
  readonly tokens: readonly {
    readonly id: string;
    readonly label: string;
    readonly createdMs: number;
    readonly usedMs: number | null;
    readonly callsPerDay: number | null;
    readonly scopes: readonly string[];
    readonly machines: readonly string[] | null;
    readonly expiresMs: number | null;
  }[];
  readonly machines: readonly (Identified & { readonly remoteApproval: boolean; readonly elicitation: boolean })[];
  readonly passkeys: readonly PasskeyRecord[];
  readonly hasPassword: boolean;
  readonly hasPasskeys: boolean;
  /** Where passkeys work, if they do not here. */
  readonly elsewhere: string | null;
  readonly browsers: readonly SessionRecord[];
  /** The id of the browser that shows the page. */
  readonly thisBrowser: string;
  /** All users if the person is the owner; `null` for other users, who must not learn who else is here. */
  readonly people: readonly Person[] | null;
  readonly said?: { readonly kind: "bad" | "good"; readonly text: string };
  /** A new invitation. Only the hash of its code is stored, so the page cannot show it again. */
  readonly invitation?: { readonly code: string; readonly link: string; readonly expiresMs: number };
  /** A new token. Only its hash is stored, so the page cannot show it again. */
  readonly madeToken?: string;
};

/** The account page: apps with access, credentials, and for the owner the other users. */
export function AccountPage(props: AccountProps) {
  const { person, csrf, said, invitation, madeToken } = props;
  return (
    <div class="narrow">
      <div class="head">
        <h1>{person.name}</h1>
        <form method="post" action="/sign-out">
          <input type="hidden" name="csrf" value={csrf} />
          <button class="plain small">Sign out of this browser</button>
        </form>
      </div>
      <>
        {said === undefined ? null : <Note kind={said.kind}>{said.text}</Note>}
        {invitation === undefined ? null : (
          <Note kind="good">
            Send this to the person you invite. It works once, until {day(invitation.expiresMs)}.<br />
            <span class="big">{invitation.code}</span>
            <Copy text={invitation.link} label="the invitation" />
            <QrCode text={invitation.link} label="The invitation as a QR code" />
          </Note>
        )}
        {madeToken === undefined ? null : (
          <Note kind="good">
            Copy your new token now. It is not shown again.
            <Copy text={madeToken} label="the token" />
          </Note>
        )}
      </>
      <p class="links">
        <a href="/audit">Audit log</a>
        <a href="/costs">Costs</a>
        <a href="/retention">Kept events</a>
      </p>
      <section class="card">
        <h2>Notifications</h2>
        <p class="soft">Be told on your phone or computer when a session waits for you, finishes or fails.</p>
        <a class="button plain" href="/notifications">
          Notifications
        </a>
      </section>
      {props.notices.length === 0 ? null : <Notices notices={props.notices} />}
      <Allowed {...props} />
      <WaysIn {...props} />
      <Browsers {...props} />
      {props.machines.length === 0 ? null : <Approvals {...props} />}
      {props.people === null ? null : <People csrf={csrf} people={props.people} isFresh={props.isFresh} />}
    </div>
  );
}

function Notices({ notices }: Pick<AccountProps, "notices">) {
  return (
    <section class="card">
      <h2>What happened lately</h2>
      <p class="soft">If you do not know one of these, revoke it below and sign out everywhere.</p>
      <NoticeList notices={notices.slice(0, FIRST_NOTICES)} />
      {notices.length > FIRST_NOTICES ? (
        <details class="plain">
          <summary>{`${notices.length - FIRST_NOTICES} earlier ones`}</summary>
          <NoticeList notices={notices.slice(FIRST_NOTICES)} />
        </details>
      ) : null}
    </section>
  );
}

function NoticeList({ notices }: Pick<AccountProps, "notices">) {
  return (
    <ul class="list">
      {notices.map((notice) => (
        <li>
          <span>
            <Foreign text={sentenceOf(notice)} />
            <br />
            <span class="soft">{minute(notice.atMs)}</span>
          </span>
        </li>
      ))}
    </ul>
  );
}

function Allowed({ csrf, grants, tokens, machines, isFresh }: AccountProps) {
  return (
    <section class="card">
      <h2>Apps with access</h2>
      {grants.length === 0 && tokens.length === 0 ? <p class="soft">None yet.</p> : null}
      <ul class="list">
        {grants.map(({ id, client, scopes, createdMs, usedMs, home, machineNames }) => (
          <Item
            csrf={csrf}
            action={`/account/grants/${id}`}
            title={home === null ? client : `${client}, ${home}`}
            does="Revoke"
          >
            may {scopesInWords(scopes)}
            {machineNames === null ? "" : ` on ${machineNames.join(", ") || "machines that are gone"}`}, since{" "}
            {isAlone(client, grants) ? day(createdMs) : minute(createdMs)}, last used <Ago ms={usedMs} />
          </Item>
        ))}
        {tokens.map(({ id, label, createdMs, usedMs, callsPerDay, scopes, machines: limited, expiresMs }) => (
          <Item csrf={csrf} action={`/account/tokens/${id}`} title={label} does="Revoke">
            access token, may {scopesInWords(scopes)}
            {limited === null ? "" : ` on ${limited.join(", ") || "machines that are gone"}`}, since {day(createdMs)}
            {expiresMs === null ? "" : `, until ${day(expiresMs)}`}
            {callsPerDay === null ? "" : `, at most ${callsPerDay} calls a day`}
            {usedMs === null ? ", never used" : ", last used "}
            {usedMs === null ? null : <Ago ms={usedMs} />}
          </Item>
        ))}
      </ul>
      <h2 id="tokens">Make an access token</h2>
      {isFresh ? <TokenForm csrf={csrf} machines={machines} /> : <ConfirmFirst />}
    </section>
  );
}

/** Whether no other app has this name. Several programs on one computer are told apart by the minute in which they were allowed. */
function isAlone(client: string, grants: readonly GrantRecord[]): boolean {
  return grants.filter((grant) => grant.client === client).length === 1;
}

/** What an app may do, as the consent page said it. */
function scopesInWords(scopes: readonly string[]): string {
  const known = knownScopes(scopes);
  const words = [mayAct(known) ? "use your machines" : "see your machines"];
  if (mayAdminister(known)) words.push("manage them and the account");
  if (known.includes("operator:tokens")) words.push("make tokens");
  return words.join(", ");
}

/** In place of a form that needs a fresh sign-in, so that nobody fills in a form that would be refused. */
function ConfirmFirst() {
  return (
    <a class="button plain" href="/sign-in/confirm?next=%2Faccount">
      Confirm that it is you to change this
    </a>
  );
}

function TokenForm({ csrf, machines }: Pick<AccountProps, "csrf" | "machines">) {
  return (
    <form method="post" action="/account/tokens">
      <input type="hidden" name="csrf" value={csrf} />
      <label>
        What it is for
        <input name="label" maxlength={64} autocomplete="off" required />
      </label>
      <label>
        It may
        <select name="may">
          <option value="act">use your machines</option>
          <option value="read">only look</option>
          <option value="manage">use and manage your machines, without a limit</option>
        </select>
      </label>
      <label>
        On
        <MachineSelect machines={choicesOf(machines)} />
      </label>
      <label>
        Calls a day, at most
        <input name="calls" inputmode="numeric" pattern="[0-9]*" placeholder="any number" autocomplete="off" />
      </label>
      <label>
        Days until it expires
        <input name="days" inputmode="numeric" pattern="[0-9]*" placeholder="never" autocomplete="off" />
      </label>
      <button class="plain">Make a token</button>
    </form>
  );
}

/** Machines whose permission requests somebody else than their person may answer. Each machine's own page has the setting. */
function Approvals({ csrf, machines }: AccountProps) {
  const open = machines.filter(({ remoteApproval, elicitation }) => remoteApproval || elicitation);
  return (
    <section class="card">
      <h2 id="approvals">Permission requests</h2>
      <p class="soft">
        {open.length === 0
          ? "What sessions may do is decided by you alone, on these pages or on their machine. "
          : "What sessions may do is decided by you, on these pages or on their machine. For these machines apps may take part: "}
        {open.length === 0 ? (
          <>
            Apps and tokens may answer for a <a href="/machines">machine</a> whose page says so.
          </>
        ) : null}
      </p>
      {open.length === 0 ? null : (
        <ul class="list">
          {open.map(({ name, identity, remoteApproval, elicitation }) => (
            <li>
              <span>
                <a href={`/machines/${name}#approval`}>{name}</a>
                <br />
                <span class="soft">
                  {[
                    remoteApproval ? "apps and tokens may answer" : null,
                    elicitation ? "apps may ask you in a form" : null,
                  ]
                    .filter((one) => one !== null)
                    .join(", ")}
                </span>
              </span>
              <span class="actions">
                {remoteApproval ? <Stop csrf={csrf} machine={{ name, identity }} field="allow" text="Stop" /> : null}
                {elicitation ? <Stop csrf={csrf} machine={{ name, identity }} field="ask" text="No forms" /> : null}
              </span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

type StopProps = {
  readonly csrf: string;
  readonly machine: Identified;
  readonly field: string;
  readonly text: string;
};

function Stop({ csrf, machine, field, text }: StopProps) {
  return (
    <form method="post" action={`/account/approvals/${machine.name}`}>
      <input type="hidden" name="csrf" value={csrf} />
      <input type="hidden" name="machine" value={shownAs(machine)} />
      <button class="plain small" name={field} value="no">
        {text}
      </button>
    </form>
  );
}

function Browsers({ csrf, browsers, thisBrowser }: AccountProps) {
  return (
    <section class="card">
      <h2>Signed-in browsers</h2>
      <ul class="list">
        {browsers.map(({ id, browser, address, createdMs, seenMs }) => (
          <Item csrf={csrf} action={`/account/browsers/${id}`} title={browser || "A browser"} does="Sign out">
            {id === thisBrowser ? <strong>this browser, </strong> : ""}
            {address === "" || address === UNKNOWN_ADDRESS ? "unknown address" : address}, since {day(createdMs)}, last
            used {day(seenMs)}
          </Item>
        ))}
      </ul>
      <form method="post" action="/account/browsers">
        <input type="hidden" name="csrf" value={csrf} />
        <button class="plain">Sign out everywhere</button>
      </form>
    </section>
  );
}

function WaysIn({ csrf, passkeys, hasPassword, hasPasskeys, elsewhere, isFresh }: AccountProps) {
  return (
    <section class="card">
      <h2>Ways to sign in</h2>
      <ul class="list">
        {passkeys.map(({ id, name, createdMs, usedMs }) => (
          <Item csrf={csrf} action={`/account/passkeys/${id}`} title={name || "Passkey"} does="Remove">
            passkey since {day(createdMs)}
            {usedMs === null ? ", never used" : ", last used "}
            {usedMs === null ? null : <Ago ms={usedMs} />}
            <details id={`passkey-${id}`}>
              <summary>Rename</summary>
              <form class="search" method="post" action={`/account/passkeys/${id}/name`}>
                <input type="hidden" name="csrf" value={csrf} />
                <input
                  name="name"
                  value={name}
                  maxlength={PASSKEY_NAME_CHARACTERS}
                  aria-label="Name of the passkey"
                  required
                />
                <button class="plain small">Save</button>
              </form>
            </details>
          </Item>
        ))}
      </ul>
      <form method="post" action="/account/password">
        <input type="hidden" name="csrf" value={csrf} />
        {hasPassword ? <PasswordField name="old" label="Old password" autocomplete="current-password" /> : null}
        <PasswordField
          name="password"
          label={hasPassword ? "New password" : "Set a password"}
          autocomplete="new-password"
          minlength={PASSWORD_MIN}
        />
        <button class="plain">{hasPassword ? "Change password" : "Set password"}</button>
      </form>
      {hasPasskeys && !isFresh ? <ConfirmFirst /> : null}
      {hasPasskeys && isFresh ? (
        <form>
          <input type="hidden" name="csrf" value={csrf} />
          <PasskeyButton path="/account/passkey" does="create" text="Add a passkey" />
        </form>
      ) : null}
      {hasPasskeys ? null : <PasskeysElsewhere url={elsewhere} />}
    </section>
  );
}

type PeopleProps = { readonly csrf: string; readonly people: readonly Person[]; readonly isFresh: boolean };

function People({ csrf, people, isFresh }: PeopleProps) {
  return (
    <section class="card">
      <h2>People on this Operator</h2>
      <p class="soft">Each person has their own machines and cannot see anyone else's.</p>
      <ul class="list">
        {people.map(({ id, name }) =>
          id === "owner" ? (
            <li>
              <span>{name}</span>
              <span class="soft">owner</span>
            </li>
          ) : (
            <Item csrf={csrf} action={`/account/people/${id}`} title={name} does="Remove" />
          ),
        )}
      </ul>
      {isFresh ? (
        <form method="post" action="/account/invitations">
          <input type="hidden" name="csrf" value={csrf} />
          <button class="plain">Invite someone</button>
        </form>
      ) : (
        <ConfirmFirst />
      )}
    </section>
  );
}

type ItemProps = { csrf: string; action: string; title: string; does: string; children?: unknown };

function Item({ csrf, action, title, does, children }: ItemProps) {
  // What the button is about, for those who hear the page.
  const titleId = `title-of-${action}`;
  return (
    <li>
      <span>
        <span id={titleId}>
          <Foreign text={title} />
        </span>
        <br />
        <span class="soft">{children}</span>
      </span>
      <form method="post" action={action}>
        <input type="hidden" name="csrf" value={csrf} />
        <button class="plain small" aria-describedby={titleId}>
          {does}
        </button>
      </form>
    </li>
  );
}

function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

function minute(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

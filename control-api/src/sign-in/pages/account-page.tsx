import { PASSWORD_MIN } from "../accounts/password.ts";
import type { PasskeyRecord } from "../accounts/passkeys.ts";
import type { Person } from "../accounts/people.ts";
import type { GrantRecord } from "../grants.ts";
import { Note } from "./note.tsx";
import { PasskeyButton } from "./passkey-button.tsx";

type AccountProps = {
  readonly person: Person;
  readonly csrf: string;
  readonly grants: readonly GrantRecord[];
  readonly tokens: readonly { readonly id: string; readonly label: string; readonly createdMs: number }[];
  readonly passkeys: readonly PasskeyRecord[];
  readonly hasPassword: boolean;
  readonly hasPasskeys: boolean;
  /** All users if the person is the owner; `null` for other users, who must not learn who else is here. */
  readonly people: readonly Person[] | null;
  readonly said?: { readonly kind: "bad" | "good"; readonly text: string };
  /** A new invitation. Only the hash of its code is stored, so the page cannot show it again. */
  readonly invitation?: { readonly code: string; readonly link: string; readonly expiresMs: number };
};

/** The account page: apps with access, credentials, and for the owner the other users. */
export function AccountPage(props: AccountProps) {
  const { person, csrf, said, invitation } = props;
  return (
    <>
      <section class="card">
        <h1>{person.name}</h1>
        {said === undefined ? null : <Note kind={said.kind}>{said.text}</Note>}
        {invitation === undefined ? null : (
          <Note kind="good">
            Send this to the person you invite. It works once, until {day(invitation.expiresMs)}.<br />
            <span class="big">{invitation.code}</span>
            <br />
            <code>{invitation.link}</code>
          </Note>
        )}
        <form method="post" action="/sign-out">
          <input type="hidden" name="csrf" value={csrf} />
          <button class="plain">Sign out of this browser</button>
        </form>
      </section>
      <Allowed {...props} />
      <WaysIn {...props} />
      {props.people === null ? null : <People csrf={csrf} people={props.people} />}
    </>
  );
}

function Allowed({ csrf, grants, tokens }: AccountProps) {
  return (
    <section class="card">
      <h2>Apps with access</h2>
      {grants.length === 0 && tokens.length === 0 ? <p class="soft">None yet.</p> : null}
      <ul class="list">
        {grants.map(({ id, client, scopes, createdMs }) => (
          <Item csrf={csrf} action={`/account/grants/${id}`} title={client} does="Revoke">
            {scopes.join(", ")}, since {day(createdMs)}
          </Item>
        ))}
        {tokens.map(({ id, label, createdMs }) => (
          <Item csrf={csrf} action={`/account/tokens/${id}`} title={label} does="Revoke">
            access token, since {day(createdMs)}
          </Item>
        ))}
      </ul>
    </section>
  );
}

function WaysIn({ csrf, passkeys, hasPassword, hasPasskeys }: AccountProps) {
  return (
    <section class="card">
      <h2>Ways to sign in</h2>
      <ul class="list">
        {passkeys.map(({ id, createdMs, usedMs }) => (
          <Item csrf={csrf} action={`/account/passkeys/${id}`} title="Passkey" does="Remove">
            since {day(createdMs)}
            {usedMs === null ? "" : `, last used ${day(usedMs)}`}
          </Item>
        ))}
      </ul>
      <form method="post" action="/account/password">
        <input type="hidden" name="csrf" value={csrf} />
        {hasPassword ? (
          <label>
            Old password
            <input name="old" type="password" autocomplete="current-password" required />
          </label>
        ) : null}
        <label>
          {hasPassword ? "New password" : "Set a password"}
          <input name="password" type="password" autocomplete="new-password" minlength={PASSWORD_MIN} required />
        </label>
        <button class="plain">{hasPassword ? "Change password" : "Set password"}</button>
      </form>
      {hasPasskeys ? (
        <form>
          <input type="hidden" name="csrf" value={csrf} />
          <PasskeyButton path="/account/passkey" does="create" text="Add a passkey" />
        </form>
      ) : (
        <p class="soft">
          <br />
          Passkeys need a domain name. They do not work at an IP address such as 127.0.0.1.
        </p>
      )}
    </section>
  );
}

function People({ csrf, people }: { readonly csrf: string; readonly people: readonly Person[] }) {
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
      <form method="post" action="/account/invitations">
        <input type="hidden" name="csrf" value={csrf} />
        <button class="plain">Invite someone</button>
      </form>
    </section>
  );
}

type ItemProps = { csrf: string; action: string; title: string; does: string; children?: unknown };

function Item({ csrf, action, title, does, children }: ItemProps) {
  return (
    <li>
      <span>
        {title}
        <br />
        <span class="soft">{children}</span>
      </span>
      <form method="post" action={action}>
        <input type="hidden" name="csrf" value={csrf} />
        <button class="plain small">{does}</button>
      </form>
    </li>
  );
}

function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

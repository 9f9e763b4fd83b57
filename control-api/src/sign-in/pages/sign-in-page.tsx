import { Named } from "../../design/foreign.tsx";
import { Note } from "../../design/note.tsx";
import { PasskeyButton } from "./passkey-button.tsx";
import { PasskeysElsewhere } from "./passkeys-elsewhere.tsx";
import { PasswordField } from "./password-field.tsx";

type SignInProps = {
  readonly next: string;
  readonly name?: string;
  readonly refusal?: string;
  /** The name of the client that sent the person here. */
  readonly client?: string | undefined;
  readonly hasPasskeys: boolean;
  /** Where passkeys work, if they do not here. */
  readonly elsewhere: string | null;
  /** The page at `/`, which a stranger sees first. */
  readonly isFrontDoor?: true;
};

/** The sign-in page: a name and a password, or a passkey. */
export function SignInPage({ next, name = "", refusal, client, hasPasskeys, elsewhere, isFrontDoor }: SignInProps) {
  return (
    <section class="card">
      <h1>Sign in</h1>
      {isFrontDoor === undefined ? null : (
        <p class="soft">
          Operator connects Claude, and any other MCP client, to the coding agents on all of your machines.
        </p>
      )}
      {client === undefined ? null : (
        <p class="soft">
          <Named text={client} /> wants to use your machines. Sign in to decide.
        </p>
      )}
      {refusal === undefined ? null : <Note kind="bad">{refusal}</Note>}
      <form method="post" action="/sign-in">
        <input type="hidden" name="next" value={next} />
        {hasPasskeys ? (
          <PasskeyButton path="/sign-in/passkey" does="get" text="Sign in with a passkey" isFirst />
        ) : null}
        <label>
          Name
          <input name="name" value={name} autocomplete="username" autocapitalize="none" spellcheck={false} required />
        </label>
        <PasswordField name="password" label="Password" autocomplete="current-password" />
        <button type="submit">Sign in</button>
      </form>
      {elsewhere === null ? null : <PasskeysElsewhere url={elsewhere} />}
    </section>
  );
}

import { Note } from "./note.tsx";
import { PasskeyButton } from "./passkey-button.tsx";

type SignInProps = {
  readonly next: string;
  readonly name?: string;
  readonly refusal?: string;
  /** The name of the client that sent the person here. */
  readonly client?: string | undefined;
  readonly hasPasskeys: boolean;
};

/** The sign-in page: a name and a password, or a passkey. */
export function SignInPage({ next, name = "", refusal, client, hasPasskeys }: SignInProps) {
  return (
    <section class="card">
      <h1>Sign in</h1>
      {client === undefined ? null : <p class="soft">{client} wants to use your machines. Sign in to decide.</p>}
      {refusal === undefined ? null : <Note kind="bad">{refusal}</Note>}
      <form method="post" action="/sign-in">
        <input type="hidden" name="next" value={next} />
        <label>
          Name
          <input name="name" value={name} autocomplete="username" autocapitalize="none" spellcheck={false} required />
        </label>
        <label>
          Password
          <input name="password" type="password" autocomplete="current-password" required />
        </label>
        <button type="submit">Sign in</button>
        {hasPasskeys ? <PasskeyButton path="/sign-in/passkey" does="get" text="Use a passkey" /> : null}
      </form>
    </section>
  );
}

import { Note } from "../../design/note.tsx";
import { PasskeyButton } from "./passkey-button.tsx";
import { PasswordField } from "./password-field.tsx";

type ConfirmProps = {
  readonly person: string;
  readonly csrf: string;
  readonly next: string;
  readonly refusal?: string;
  readonly hasPassword: boolean;
  readonly hasPasskeys: boolean;
};

/** The page on which a signed-in person shows their password or passkey again. */
export function ConfirmPage({ person, csrf, next, refusal, hasPassword, hasPasskeys }: ConfirmProps) {
  return (
    <section class="card">
      <h1>Confirm that it is you</h1>
      <p class="soft">
        This gives lasting access, or lets a session go on. You are signed in as {person}; show that it is still you in
        front of this browser. You will not be asked again for a quarter of an hour.
      </p>
      {refusal === undefined ? null : <Note kind="bad">{refusal}</Note>}
      {hasPassword || hasPasskeys ? null : (
        <Note kind="warn">This account has no password, and its passkeys do not work at this address.</Note>
      )}
      <form method="post" action="/sign-in/confirm">
        <input type="hidden" name="csrf" value={csrf} />
        <input type="hidden" name="next" value={next} />
        {hasPasskeys ? (
          <PasskeyButton
            path="/sign-in/confirm/passkey"
            does="get"
            text="Confirm with a passkey"
            {...(hasPassword ? { isFirst: true } : { isAlone: true })}
          />
        ) : null}
        {hasPassword ? (
          <>
            <PasswordField name="password" label="Password" autocomplete="current-password" />
            <button type="submit">Confirm</button>
          </>
        ) : null}
      </form>
    </section>
  );
}

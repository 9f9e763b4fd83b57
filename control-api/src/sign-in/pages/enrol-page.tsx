import { PASSWORD_MIN } from "../accounts/password.ts";
import { Note } from "../../design/note.tsx";
import { PasskeyButton } from "./passkey-button.tsx";
import { PasskeysElsewhere } from "./passkeys-elsewhere.tsx";
import { PasswordField } from "./password-field.tsx";

type EnrolProps = {
  readonly path: "/claim" | "/invite";
  readonly code?: string;
  readonly name?: string;
  readonly refusal?: string;
  readonly hasPasskeys: boolean;
  /** The same page where passkeys work (site.ts); `null` where they do. */
  readonly elsewhere: string | null;
};

const WORDS = {
  "/claim": {
    title: "Make this Operator yours",
    lead: "The person who enters the claim code becomes the owner. It was printed where Operator was started or deployed.",
    code: "Claim code",
  },
  "/invite": {
    title: "You were invited",
    lead: "You get your own account on this Operator. Nobody else can see your machines, and you cannot see theirs.",
    code: "Invitation code",
  },
} as const;

/** The page that opens an account: a claim or invitation code, a name, and a password or a passkey. */
export function EnrolPage({ path, code = "", name = "", refusal, hasPasskeys, elsewhere }: EnrolProps) {
  const words = WORDS[path];
  return (
    <section class="card">
      <h1>{words.title}</h1>
      <p class="soft">{words.lead}</p>
      {refusal === undefined ? null : <Note kind="bad">{refusal}</Note>}
      <form method="post" action={path}>
        <label>
          {words.code}
          <input
            class="code"
            name="code"
            value={code}
            autocomplete="off"
            spellcheck={false}
            data-from-fragment
            required
          />
        </label>
        <label>
          Your name, to sign in with
          <input name="name" value={name} autocomplete="username" autocapitalize="none" spellcheck={false} required />
        </label>
        {hasPasskeys ? (
          <PasskeyButton path={`${path}/passkey`} does="create" text="Create account with a passkey" isFirst />
        ) : null}
        <PasswordField
          name="password"
          label="Password"
          autocomplete="new-password"
          minlength={PASSWORD_MIN}
          hint={`At least ${PASSWORD_MIN} characters; a few words will do.`}
        />
        <button type="submit">Create account</button>
      </form>
      {elsewhere === null ? null : <PasskeysElsewhere url={elsewhere} />}
    </section>
  );
}

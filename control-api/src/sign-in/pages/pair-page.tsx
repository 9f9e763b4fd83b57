import { mayAct, mayAdminister, type Scope } from "../../http/scope.ts";
import { UNKNOWN_ADDRESS } from "../address.ts";
import { Named } from "../../design/foreign.tsx";
import { Note } from "../../design/note.tsx";

type PairProps = {
  readonly csrf: string;
  readonly person: string;
  readonly refusal?: string;
  readonly code?: string;
  readonly asked?: { readonly client: string; readonly place: string; readonly scopes: readonly Scope[] };
};

/**
 * The pairing page: a person enters a device's code, and then approves or denies the device. The page warns because an attacker
 * can start a request and send the victim its code (RFC 8628 section 5.4, remote phishing).
 */
export function PairPage({ csrf, person, refusal, code, asked }: PairProps) {
  return (
    <section class="card">
      <h1>{asked === undefined ? "Pair a computer" : "Let this computer in?"}</h1>
      {refusal === undefined ? null : <Note kind="bad">{refusal}</Note>}
      {asked === undefined ? null : (
        <dl>
          <dt>Program</dt>
          <dd>
            <Named text={asked.client} />
          </dd>
          <dt>Request from</dt>
          <dd>
            <code>{asked.place === UNKNOWN_ADDRESS ? "an unknown address" : asked.place}</code>
          </dd>
          <dt>It may</dt>
          {mayAdminister(asked.scopes) ? (
            <>
              <dd>Register itself as one of your machines; rename and remove your machines</dd>
              <dd>Create tokens that keep working after you leave; read the audit log</dd>
            </>
          ) : null}
          {asked.scopes.includes("operator:tokens") ? <dd>Create tokens at any time, without asking you</dd> : null}
          <dd>{mayAct(asked.scopes) ? "Use your machines" : "See your machines"}</dd>
        </dl>
      )}
      {asked === undefined ? null : (
        <Note kind="warn">
          Does the computer in front of you show exactly this code? If somebody sent you the code, choose No: they would
          get access to your machines.
        </Note>
      )}
      <form method="post" action="/pair">
        <input type="hidden" name="csrf" value={csrf} />
        {asked === undefined ? (
          <>
            <label>
              The code it shows
              <input
                class="code big"
                name="code"
                placeholder="XXXX-XXXX"
                autocomplete="one-time-code"
                autocapitalize="characters"
                spellcheck={false}
                required
              />
            </label>
            <button type="submit">Continue</button>
          </>
        ) : (
          <>
            <input type="hidden" name="code" value={code} />
            <p class="big">{code}</p>
            <div class="row">
              <button class="plain" name="decision" value="deny">
                No
              </button>
              <button name="decision" value="allow">
                Allow
              </button>
            </div>
          </>
        )}
      </form>
      <p class="soft after">You are signed in as {person}.</p>
    </section>
  );
}

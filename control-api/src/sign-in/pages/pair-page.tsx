import { mayAct, mayAdminister, type Scope } from "../../http/scope.ts";
import { UNKNOWN_ADDRESS } from "../address.ts";
import { Note } from "./note.tsx";

type PairProps = {
  readonly csrf: string;
  readonly person: string;
  readonly refusal?: string;
  readonly code?: string;
  readonly asked?: { readonly client: string; readonly place: string; readonly scopes: readonly Scope[] };
};

/** A person types a code, and then lets the computer in that shows it, or not. */
export function PairPage({ csrf, person, refusal, code, asked }: PairProps) {
  return (
    <section class="card">
      <h1>{asked === undefined ? "Pair a computer" : "Let this computer in?"}</h1>
      {refusal === undefined ? null : <Note kind="bad">{refusal}</Note>}
      {asked === undefined ? null : (
        <dl>
          <dt>Program</dt>
          <dd>{asked.client}</dd>
          <dt>Asks from</dt>
          <dd>
            <code>{asked.place === UNKNOWN_ADDRESS ? "an address that is not known" : asked.place}</code>
          </dd>
          <dt>It may</dt>
          {mayAdminister(asked.scopes) ? (
            <>
              <dd>Register itself as one of your machines; rename and remove your machines</dd>
              <dd>Make tokens that work without you, also later on; read the audit log</dd>
            </>
          ) : null}
          <dd>{mayAct(asked.scopes) ? "Use your machines" : "See your machines"}</dd>
        </dl>
      )}
      {asked === undefined ? null : (
        <Note kind="warn">
          Does the computer in front of you show this very code? If somebody sent you the code, say no: they would get
          in.
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
            <button type="submit">Go on</button>
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
                Let it in
              </button>
            </div>
          </>
        )}
      </form>
      <p class="soft">
        <br />
        You are {person}.
      </p>
    </section>
  );
}

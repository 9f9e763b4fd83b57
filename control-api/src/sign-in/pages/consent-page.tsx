import type { ConsentDescription } from "@cloudflare/workers-oauth-provider";
import { mayAct, type Scope } from "../../http/scope.ts";
import { Note } from "./note.tsx";

type ConsentProps = {
  readonly person: string;
  readonly csrf: string;
  readonly client: ConsentDescription;
  readonly scopes: readonly Scope[];
  /** What the client would get at: `your machines`, or one. */
  readonly reach: string;
};

const MEANING: Record<Scope, string> = {
  "mcp:tools": "Use every tool of your machines: start sessions, send prompts, run what they offer",
  "operator:act": "Use every tool of your machines: start sessions, send prompts, run what they offer",
  "operator:read": "See your machines, their sessions and events",
  "operator:admin": "Add, rename and remove machines; make tokens; read the audit log",
};

/** Which client asks, for what, and where the answer will be sent. All of the client's words are its own claims. */
export function ConsentPage({ person, csrf, client, scopes, reach }: ConsentProps) {
  const meanings = [...new Set(scopes.map((scope) => MEANING[scope]))];
  return (
    <section class="card">
      <h1>Let {client.clientName} in?</h1>
      <dl>
        <dt>It may</dt>
        {meanings.map((meaning) => (
          <dd>{meaning}</dd>
        ))}
        <dt>At</dt>
        <dd>{reach}</dd>
        <dt>The answer is sent to</dt>
        <dd>
          <code>{client.redirectHost}</code>
        </dd>
        <dt>Who says so</dt>
        <dd>
          {client.clientDomain === undefined
            ? "The app named itself; nobody has checked the name."
            : `The site ${client.clientDomain}`}
        </dd>
      </dl>
      {client.redirectIsLoopback ? (
        <Note kind="warn">
          The answer goes to a program on the computer in front of you. Go on only if you have just asked it to sign in.
        </Note>
      ) : null}
      <form method="post">
        <input type="hidden" name="csrf" value={csrf} />
        {mayAct(scopes) ? (
          <label class="pick">
            <input type="checkbox" name="read_only" value="yes" />
            Only let it look, not act
          </label>
        ) : null}
        <div class="row">
          <button class="plain" name="decision" value="deny">
            No
          </button>
          <button name="decision" value="allow">
            Allow
          </button>
        </div>
      </form>
      <p class="soft">
        <br />
        You are {person}. What you allow stays until you take it back at <a href="/account">your account</a>, or until
        it was not used for half a year.
      </p>
    </section>
  );
}

import type { ConsentDescription } from "@cloudflare/workers-oauth-provider";
import { mayAct, type Scope } from "../../http/scope.ts";
import { Named } from "../../design/foreign.tsx";
import { type Identified, shownAs } from "../../http/shown-machine.ts";
import { Note } from "../../design/note.tsx";

type ConsentProps = {
  readonly person: string;
  readonly csrf: string;
  readonly client: ConsentDescription;
  readonly scopes: readonly Scope[];
  /** What the client would get access to: all machines or one. */
  readonly reach: string;
  /** Machines to which its person may limit it. */
  readonly machines: readonly Identified[];
  /** The one machine that it would get access to, if it is one of the person's. */
  readonly only: Identified | null;
  /** Why the form that was sent is not carried out. */
  readonly refusal: string | null;
};

const MEANING: Record<Scope, string> = {
  "mcp:tools": "Use every tool of your machines: start sessions, send prompts, run what they offer",
  "operator:act": "Use every tool of your machines: start sessions, send prompts, run what they offer",
  "operator:read": "See your machines, their sessions and events",
  "operator:tokens": "Make tokens at any time, without asking you",
  "operator:admin": "Add, rename and remove machines; make tokens; read the audit log",
};

/**
 * The consent page: which client asks, for which scopes and machines, and the host that the code is sent to. A client chooses its
 * name freely, so the page also shows what can be verified: the redirect host, and the domain of its metadata document.
 */
export function ConsentPage({ person, csrf, client, scopes, reach, machines, only, refusal }: ConsentProps) {
  // Whoever may do anything may also look.
  const all = mayAct(scopes) ? scopes : (["operator:read", ...scopes] as const);
  const meanings = [...new Set(all.map((scope) => MEANING[scope]))];
  return (
    <section class="card">
      <h1>
        Let <Named text={client.clientName} /> in?
      </h1>
      {refusal === null ? null : <Note kind="bad">{refusal}</Note>}
      <dl>
        <dt>It may</dt>
        {meanings.map((meaning) => (
          <dd>{meaning}</dd>
        ))}
        <dt>On</dt>
        <dd>{reach}</dd>
        <dt>It receives access at</dt>
        <dd>
          <code>{client.redirectHost}</code>
        </dd>
        <dt>Source of its name</dt>
        <dd>
          {client.clientDomain === undefined
            ? "The app named itself; nobody has checked the name."
            : `The site ${client.clientDomain}`}
        </dd>
      </dl>
      {client.redirectIsLoopback ? (
        <Note kind="warn">
          Access goes to a program on the computer in front of you. Continue only if you have just asked it to sign in.
        </Note>
      ) : null}
      <form method="post">
        <input type="hidden" name="csrf" value={csrf} />
        {only === null ? null : <input type="hidden" name="machine" value={shownAs(only)} />}
        {machines.length === 0 ? null : (
          <details class="plain">
            <summary>Only on some machines</summary>
            <fieldset>
              <legend class="soft">
                Tick none for all of them, now and later. On chosen machines it cannot manage machines or make tokens.
              </legend>
              {machines.map((machine) => (
                <label class="pick">
                  <input type="checkbox" name="machine" value={shownAs(machine)} />
                  <span>{machine.name}</span>
                </label>
              ))}
            </fieldset>
          </details>
        )}
        {mayAct(scopes) ? (
          <label class="pick">
            <input type="checkbox" name="read_only" value="yes" />
            Read only: it can see but not act
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
      <p class="soft after">
        You are signed in as {person}. Access lasts until you revoke it on <a href="/account">your account page</a>, or
        until it has not been used for half a year.
      </p>
    </section>
  );
}

import type { AuditKind, AuditRecord } from "../audit/entry.ts";
import { Ago } from "../design/ago.tsx";
import { Foreign } from "../design/foreign.tsx";
import { Note } from "../design/note.tsx";
import { Empty } from "../design/parts.tsx";

/** Entries on one page, in about 25 KB. */
export const PAGE_ENTRIES = 60;

/** The fields of the filter, in their order in the address. */
const FIELDS = ["kind", "machine", "client", "outcome", "since", "until"] as const;

type AuditProps = {
  readonly entries: readonly AuditRecord[];
  /** Machines that there are now. An entry may be about one that was removed. */
  readonly machines: readonly string[];
  /** The address's query, which the form shows again. */
  readonly query: Readonly<Record<string, string | undefined>>;
  readonly isFirst: boolean;
  readonly problem: string | null;
};

/** Who did what with which client, newest first. */
export function AuditPage({ entries, machines, query, isFirst, problem }: AuditProps) {
  const isFiltered = FIELDS.some((name) => (query[name] ?? "") !== "");
  const address = (more: Record<string, string>): string => addressOf(query, more);
  const last = entries.at(-1)?.id;
  return (
    <>
      <a class="back" href="/account">
        ‹ Account
      </a>
      <h1>Audit log</h1>
      <p class="soft">
        What was done in your name, and with what. It has no arguments and no secrets. Calls are kept for three months,
        the rest for a year.
      </p>
      {problem === null ? null : <Note kind="bad">{problem}</Note>}
      <Filter machines={machines} query={query} isOpen={isFiltered || problem !== null} />
      {entries.length === 0 ? (
        <Empty title={isFiltered ? "Nothing fits" : "Nothing yet"}>
          {isFiltered ? <a href="/audit">Show everything</a> : <p>Calls, sign-ins and changes appear here.</p>}
        </Empty>
      ) : (
        <ul class="list card">
          {entries.map((entry) => (
            <Entry entry={entry} address={address} />
          ))}
        </ul>
      )}
      <nav class="pages" aria-label="Pages">
        {isFirst ? <span></span> : <a href={address({})}>Newest</a>}
        {entries.length < PAGE_ENTRIES || last === undefined ? (
          <span></span>
        ) : (
          <a href={address({ before: String(last) })}>Older</a>
        )}
      </nav>
      {entries.length === 0 ? null : (
        <div class="actions">
          <a class="button plain small" href={address({ format: "csv" })} download>
            Export as CSV
          </a>
          <a class="button plain small" href={address({ format: "jsonl" })} download>
            Export as JSON lines
          </a>
          <span class="soft">{isFiltered ? "What fits the filter" : "The whole log"}</span>
        </div>
      )}
    </>
  );
}

type FilterProps = Pick<AuditProps, "machines" | "query"> & { readonly isOpen: boolean };

function Filter({ machines, query, isOpen }: FilterProps) {
  const { kind = "", machine = "", client = "", outcome = "", since = "", until = "" } = query;
  const names = machine === "" || machines.includes(machine) ? machines : [machine, ...machines];
  return (
    <details class="plain" open={isOpen}>
      <summary>Filter</summary>
      <form class="card" action="/audit">
        <div class="two">
          <label>
            What
            <select name="kind">
              <Option value="" name="Everything" chosen={kind} />
              <Option value="call" name="Calls of machines" chosen={kind} />
              <Option value="permission" name="Answers to permission requests" chosen={kind} />
              <Option value="account" name="Sign-ins and changes" chosen={kind} />
            </select>
          </label>
          <label>
            Machine
            <select name="machine">
              <Option value="" name="All" chosen={machine} />
              {names.map((name) => (
                <Option value={name} name={name} chosen={machine} />
              ))}
            </select>
          </label>
          <label>
            Client
            <input name="client" value={client} placeholder="As it is called in the log" maxlength={131} />
          </label>
          <label>
            Outcome
            <select name="outcome">
              <Option value="" name="All" chosen={outcome} />
              <Option value="ok" name="Went well" chosen={outcome} />
              <Option value="failed" name="Failed or was refused" chosen={outcome} />
            </select>
          </label>
          <label>
            From
            <input type="date" name="since" value={since} />
          </label>
          <label>
            To
            <input type="date" name="until" value={until} />
          </label>
        </div>
        <div class="actions">
          <button class="small">Filter</button>
          <a class="button plain small" href="/audit">
            Show everything
          </a>
        </div>
      </form>
    </details>
  );
}

function Option({ value, name, chosen }: { readonly value: string; readonly name: string; readonly chosen: string }) {
  return (
    <option value={value} selected={value === chosen}>
      {name}
    </option>
  );
}

type EntryProps = { readonly entry: AuditRecord; readonly address: (more: Record<string, string>) => string };

function Entry({ entry, address }: EntryProps) {
  const { atMs, kind, client, machine, subject, outcome, durationMs } = entry;
  return (
    <li>
      <span>
        {KINDS[kind]}
        {subject === null ? null : (
          <>
            {" "}
            <b>
              <Foreign text={subject} limit={140} />
            </b>
          </>
        )}
        {outcome === "ok" ? null : (
          <>
            {" "}
            <span class="status bad">
              <Foreign text={outcome} limit={60} />
            </span>
          </>
        )}
        <br />
        <span class="soft">
          <Ago ms={atMs} />
          {" · with "}
          <a href={address({ client, before: "" })}>
            <Foreign text={client} limit={140} />
          </a>
          {machine === null ? null : (
            <>
              {" on "}
              <a href={address({ machine, before: "" })}>
                <Foreign text={machine} limit={70} />
              </a>
            </>
          )}
          {durationMs === null
            ? null
            : ` · ${durationMs < 1_000 ? `${durationMs} ms` : `${(durationMs / 1_000).toFixed(1)} s`}`}
        </span>
      </span>
    </li>
  );
}

const KINDS: Record<AuditKind, string> = {
  call: "Called",
  request: "Asked",
  permission: "Answered a permission request:",
  sign_in: "Signed in",
  signed_out: "Signed out",
  credential_changed: "Changed a credential:",
  grant: "Gave an app access to",
  grant_revoked: "Revoked access:",
  token_created: "Made the token",
  token_revoked: "Revoked the token",
  machine_added: "Added a machine",
  machine_changed: "Changed a machine:",
  machine_removed: "Removed a machine",
  webhook_added: "Added a webhook:",
  webhook_removed: "Removed a webhook:",
  user_invited: "Invited somebody",
  user_removed: "Removed somebody:",
};

/** The same list with something else in its filter. An empty value takes a field out. */
function addressOf(query: AuditProps["query"], more: Record<string, string>): string {
  const fields = new URLSearchParams();
  for (const name of FIELDS) {
    const value = more[name] ?? query[name] ?? "";
    if (value !== "") fields.set(name, value.toWellFormed());
  }
  for (const name of ["before", "format"]) if ((more[name] ?? "") !== "") fields.set(name, more[name] ?? "");
  const text = fields.toString();
  return text === "" ? "/audit" : `/audit?${text}`;
}

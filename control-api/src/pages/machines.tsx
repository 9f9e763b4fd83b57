import { Hono } from "hono";
import { messageOf, type OperatorError } from "#protocol/error.ts";
import { isMachineName } from "#protocol/slug.ts";
import { note } from "../audit/note.ts";
import { notify } from "../audit/notice.ts";
import { Empty, Live } from "../design/parts.tsx";
import { Note } from "../design/note.tsx";
import { personPage } from "../sign-in/person-page.ts";
import { shownNamed } from "../http/shown-machine.ts";
import { encodeCursor } from "../events/cursor.ts";
import { detailOf } from "../machines/machine-detail.ts";
import type { SessionLoad } from "../history/session-index.ts";
import type { IndexedSessions } from "../history/session-query.ts";
import type { ListedMachines, MachineQuery } from "../machines/machine-query.ts";
import { type MachineRecord, PAGE_APPROVALS } from "../machines/machine-record.ts";
import { formIn } from "../sign-in/form.ts";
import type { PageApp, PageContext } from "../sign-in/page-context.ts";
import { bearerOf, confirmFirst, formToken } from "../sign-in/session.ts";
import { type Registered, registryOf } from "../user/user-rpc.ts";
import { machinePath } from "./address.ts";
import { AddMachine } from "./getting-started.tsx";
import { callMachineTool } from "./machine-call.ts";
import { ConfirmChange, RotatedPage } from "./machine-change.tsx";
import { MachinePage } from "./machine-page.tsx";
import { HealthPage } from "./machine-health.tsx";
import { loadsByName, MachineRow } from "./machine-row.tsx";
import { notThere } from "./not-there.tsx";
import { WEB_CLIENT } from "./web-caller.ts";

/** Machines on one page: about 30 KB. */
const PAGE_MACHINES = 100;

/** The search appears when the list no longer fits on a screen. */
const SEARCHED_MACHINES = 12;

/** More machines than anybody has. The database must not be asked for a page after a number beyond its integers. */
const MAX_SKIPPED = 1_000_000;

/** A machine that was added within this time is shown on the page that says how to add one. Milliseconds. */
const NEW_MS = 30 * 60_000;

/** Sessions on a machine's page. The list of sessions has the others. */
const SHOWN_SESSIONS = 12;

/** `/machines`: a person's machines. */
export const machines = new Hono<PageApp>();

machines.get("/", async (c) => {
  const registry = registryOf(c.env, c.var.session.person.id);
  const words = (c.req.query("q") ?? "").slice(0, 100).trim().toLowerCase();
  const from = Math.min(Math.max(0, Number.parseInt(c.req.query("from") ?? "0", 10) || 0), MAX_SKIPPED);
  const query: MachineQuery = { visible: null, words, skip: from, limit: PAGE_MACHINES };
  const [position, { machines: page, total, online, hasMore }, loads] = await Promise.all([
    registry.newestEvent(),
    registry.machinePage(query) as Promise<ListedMachines>,
    registry.sessionLoad() as Promise<SessionLoad[]>,
  ]);
  const byName = loadsByName(loads);
  const removed = c.req.query("removed");
  return personPage(
    c,
    { title: "Machines", at: "machines" },
    <div data-live="/live" data-after={encodeCursor(position)}>
      <div class="head">
        <h1>
          Machines {total === 0 || words !== "" ? null : <span class="soft">{`${online} of ${total} online`}</span>}
        </h1>
        <a class="button small" href="/machines/new">
          Add machine
        </a>
      </div>
      {removed === undefined || !isMachineName(removed) ? null : (
        <Note kind="good">{removed} is removed. Its sessions stay in the list until you forget them.</Note>
      )}
      {total > SEARCHED_MACHINES || words !== "" ? (
        <form class="search" role="search">
          <input type="search" name="q" value={words} placeholder="Find a machine" aria-label="Find a machine" />
          <button class="plain">Find</button>
        </form>
      ) : null}
      <Live id="machines">
        {page.length === 0 ? (
          words === "" ? (
            <Empty title="No machines yet">
              <p>
                A machine is a computer whose coding sessions, or any other MCP server, you want to reach from anywhere.
              </p>
              <a class="button" href="/machines/new">
                Add a machine
              </a>
            </Empty>
          ) : (
            <Empty title="No machine of that name">
              <a href="/machines">Show all</a>
            </Empty>
          )
        ) : (
          <ul class="rows" data-list>
            {page.map((machine) => (
              <MachineRow machine={machine} load={byName.get(machine.name)} />
            ))}
          </ul>
        )}
      </Live>
      {total > PAGE_MACHINES ? (
        <nav class="pages" aria-label="Pages">
          {from > 0 ? <a href={pagePath(words, from - PAGE_MACHINES)}>Back</a> : <span></span>}
          <span class="soft" data-range>{`${from + 1} to ${from + page.length} of ${total}`}</span>
          {hasMore ? (
            <a href={pagePath(words, from + PAGE_MACHINES)} data-more>
              More
            </a>
          ) : (
            <span></span>
          )}
        </nav>
      ) : null}
    </div>,
  );
});

function pagePath(words: string, from: number): string {
  return `/machines?${new URLSearchParams({ ...(words === "" ? {} : { q: words }), from: String(Math.max(0, from)) })}`;
}

machines.get("/new", async (c) => {
  const registry = registryOf(c.env, c.var.session.person.id);
  const recent: MachineQuery = { visible: null, addedAfterMs: Date.now() - NEW_MS, limit: PAGE_MACHINES };
  const [position, { machines: added }] = await Promise.all([
    registry.newestEvent(),
    registry.machinePage(recent) as Promise<ListedMachines>,
  ]);
  return personPage(
    c,
    { title: "Add a machine", at: "machines" },
    <div class="narrow" data-live="/live" data-after={encodeCursor(position)}>
      <a class="back" href="/machines">
        ‹ Machines
      </a>
      <h1>Add a machine</h1>
      <AddMachine env={c.env} />
      <Live id="added">
        <h2>{added.length === 0 ? "It appears here by itself" : "Just added"}</h2>
        {added.length === 0 ? (
          <p class="soft">This page waits for it. You can leave it open.</p>
        ) : (
          <ul class="rows">
            {added
              .toSorted((one, other) => other.createdMs - one.createdMs)
              .map((machine) => (
                <MachineRow machine={machine} load={undefined} />
              ))}
          </ul>
        )}
      </Live>
    </div>,
  );
});

machines.get("/:name", async (c) => {
  const found = await find(c);
  return found === null ? notThere(c, "machine") : show(c, found);
});

machines.get("/:name/health", async (c) => {
  const found = await find(c);
  if (found === null) return notThere(c, "machine");
  const answer = await callMachineTool(c, "get_health_details", { machineId: found.name });
  return personPage(
    c,
    { title: `Health of ${found.name}`, at: "machines" },
    <HealthPage machine={found.name} answer={answer} />,
  );
});

for (const change of ["remove", "rotate"] as const)
  machines.get(`/:name/${change}`, async (c) => {
    const found = await find(c);
    if (found === null) return notThere(c, "machine");
    return personPage(
      c,
      { title: change === "remove" ? `Remove ${found.name}` : `New token for ${found.name}`, at: "machines" },
      <ConfirmChange change={change} machine={found} csrf={await formToken(c.var.session)} />,
    );
  });

machines.post("/:name/remove", async (c) => {
  const { person, isFresh } = c.var.session;
  const name = c.req.param("name");
  const record = await find(c);
  if (record === null) return notThere(c, "machine");
  // A machine can be added again. A server's data and secrets cannot be brought back.
  if (record.kind === "hosted" && !isFresh) return confirmFirst(c, `${machinePath(name)}/remove`);
  const shown = shownNamed(await formIn(c), name);
  const error: OperatorError | null = await registryOf(c.env, person.id).remove(shown, bearerOf(c.var.session));
  if (error !== null) return error.code === "machine_unknown" ? notThere(c, "machine") : failed(c, name, error);
  note(c.env, person.id, { kind: "machine_removed", client: WEB_CLIENT, machine: name, subject: null });
  if (record.kind === "hosted")
    notify(c.env, person.id, { type: "notice.server_changed", what: `${name} (deleted)`, by: WEB_CLIENT });
  return c.redirect(`/machines?${new URLSearchParams({ removed: name })}`, 303);
});

machines.post("/:name/rotate", async (c) => {
  const { person } = c.var.session;
  const name = c.req.param("name");
  const shown = shownNamed(await formIn(c), name);
  // The new token goes nowhere: the machine gets one when somebody runs `codez setup` on it, with its own key.
  const rotated: Registered | OperatorError = await registryOf(c.env, person.id).rotate(
    shown,
    null,
    bearerOf(c.var.session),
  );
  if ("code" in rotated) return rotated.code === "machine_unknown" ? notThere(c, "machine") : failed(c, name, rotated);
  note(c.env, person.id, { kind: "machine_changed", client: WEB_CLIENT, machine: name, subject: "token rotated" });
  return personPage(c, { title: `${name} is disconnected`, at: "machines" }, <RotatedPage name={name} env={c.env} />);
});

machines.post("/:name/rename", async (c) => {
  const { person } = c.var.session;
  const name = c.req.param("name");
  const form = await formIn(c);
  const to = String(form.get("name") ?? "")
    .trim()
    .toLowerCase();
  const renamed: MachineRecord | OperatorError = await registryOf(c.env, person.id).rename(
    shownNamed(form, name),
    to,
    bearerOf(c.var.session),
  );
  if ("code" in renamed)
    return renamed.code === "machine_unknown" ? notThere(c, "machine") : failed(c, name, renamed, to);
  const subject = `renamed to ${to}`;
  note(c.env, person.id, { kind: "machine_changed", client: WEB_CLIENT, machine: name, subject });
  return c.redirect(machinePath(to), 303);
});

machines.post("/:name/approval", async (c) => {
  const { person, isFresh } = c.var.session;
  const name = c.req.param("name");
  const form = await formIn(c);
  const chosen = form.get("approval");
  const approval = PAGE_APPROVALS.find((one) => one === chosen);
  if (approval === undefined) return notThere(c, "machine");
  const error: OperatorError | null = await registryOf(c.env, person.id).setPageApproval(
    shownNamed(form, name),
    approval,
    isFresh,
    bearerOf(c.var.session),
  );
  if (error?.code === "fresh_sign_in_needed") return confirmFirst(c, `${machinePath(name)}#approval`);
  if (error !== null) return error.code === "machine_unknown" ? notThere(c, "machine") : failed(c, name, error);
  const subject = `pages may allow: ${approval}`;
  note(c.env, person.id, { kind: "machine_changed", client: WEB_CLIENT, machine: name, subject });
  return c.redirect(`${machinePath(name)}#approval`, 303);
});

// A form's answer has the form's address, and may be opened again later: in a tab that was put away, or from a bookmark.
machines.get("/:name/*", (c) => c.redirect(machinePath(c.req.param("name")), 303));

async function find(c: PageContext): Promise<MachineRecord | null> {
  return registryOf(c.env, c.var.session.person.id).machine(c.req.param("name") ?? "");
}

/** The machine's page again, with what went wrong. */
async function failed(c: PageContext, name: string, error: OperatorError, typed?: string): Promise<Response> {
  const found: MachineRecord | null = await registryOf(c.env, c.var.session.person.id).machine(name);
  if (found === null) return notThere(c, "machine");
  return show(c, found, { text: messageOf(error), typed: typed ?? name });
}

async function show(
  c: PageContext,
  record: MachineRecord,
  refusal?: { readonly text: string; readonly typed: string },
): Promise<Response> {
  const { session } = c.var;
  const registry = registryOf(c.env, session.person.id);
  const all = { visible: null, project: null, state: null, words: [], before: null, limit: SHOWN_SESSIONS };
  const [position, detail, sessions, loads, csrf] = await Promise.all([
    registry.newestEvent(),
    detailOf(record, c.env, session.person.id),
    registry.listSessions({ ...all, machine: record.name }) as Promise<IndexedSessions>,
    registry.sessionLoad() as Promise<SessionLoad[]>,
    formToken(session),
  ]);
  return personPage(
    c,
    { title: record.name, at: "machines", status: refusal === undefined ? 200 : 409 },
    <div data-live="/live" data-after={encodeCursor(position)}>
      <MachinePage
        detail={detail}
        record={record}
        sessions={sessions}
        load={loadsByName(loads).get(record.name)}
        csrf={csrf}
        refusal={refusal}
      />
    </div>,
  );
}

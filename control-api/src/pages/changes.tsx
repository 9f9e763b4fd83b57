import { personPage } from "../sign-in/person-page.ts";
import type { ListedSession } from "../history/session-query.ts";
import type { PageContext } from "../sign-in/page-context.ts";
import { registryOf } from "../user/user-rpc.ts";
import { ChangesPage } from "./changes-page.tsx";
import { changesIn } from "./changes-reading.ts";
import { callMachineTool } from "./machine-call.ts";
import { notThere } from "./not-there.tsx";

/** `GET /sessions/:machine/:session/changes`: what the session changed, or with `?path=` more of one file. */
export async function changes(c: PageContext): Promise<Response> {
  const [machine, session] = [c.req.param("machine") ?? "", c.req.param("session") ?? ""];
  const path = c.req.query("path") ?? null;
  const registry = registryOf(c.env, c.var.session.person.id);
  const [known, isMachine] = await Promise.all([
    registry.session(null, machine, session) as Promise<ListedSession | null>,
    registry.machine(machine).then((found) => found !== null),
  ]);
  if (known === null && !isMachine) return notThere(c, "session");
  const asked = { session_id: `${machine}/${session}`, ...(path === null ? {} : { path }) };
  const answer = await callMachineTool(c, "get_changes", asked);
  const reading = "told" in answer ? changesIn(answer.told) : null;
  const failed = "failed" in answer ? saidOf(answer.failed) : reading === null ? "Its answer cannot be read." : null;
  return personPage(
    c,
    { title: "Changes", at: "sessions" },
    <ChangesPage machine={machine} session={session} path={path} failed={failed} reading={reading} />,
  );
}

function saidOf({ code, message }: { readonly code: string; readonly message: string }): string {
  return code === "tool_unknown"
    ? "This machine's server cannot tell what changed. A newer codez can: run codez upgrade there."
    : message;
}

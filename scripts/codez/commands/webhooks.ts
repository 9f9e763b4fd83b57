import { Command } from "commander";
import * as z from "zod";
import { ExitCode } from "../exit-code.ts";
import { CodezFailure } from "../failure.ts";
import { findOperator } from "../find-operator.ts";
import { type Context, outputOf, withHub } from "./context.ts";
import { tableOf } from "./table.ts";

const Webhook = z.object({
  id: z.string(),
  kind: z.string(),
  client: z.string(),
  url: z.string(),
  types: z.array(z.string()).nullable(),
  filter: z.object({ machine: z.string().nullable(), session: z.string().nullable() }),
  pending: z.number(),
  isPaused: z.boolean().optional(), // an Operator before 0.5.1 does not say
  suspendedMs: z.number().nullable(),
  failedSinceMs: z.number().nullable(),
  lastDeliveryMs: z.number().nullable(),
  lastFault: z.string().nullable(),
});
type Webhook = z.infer<typeof Webhook>;
const DeadLetter = z.object({ subscription: z.string(), message: z.string(), deadMs: z.number(), fault: z.string() });
const Overview = z.object({ subscriptions: z.array(Webhook), dead: z.array(DeadLetter) });
type Overview = z.infer<typeof Overview>;
const Added = z.object({ id: z.string(), url: z.string(), secret: z.string().nullable() });
const Tested = z.object({ delivered: z.boolean(), fault: z.string().optional() });
const Retried = z.object({ retried: z.number() });

type Shared = { hub?: string; json?: boolean };
type AddOptions = Shared & { ntfy?: boolean; type?: string[]; machine?: string; session?: string };

/** `codez webhooks`: URLs to which Operator sends events, and the subscriptions of MCP clients. */
export function webhooksCommand({ folder }: Context): Command {
  const list = withHub(
    new Command("list").description("list webhooks, MCP clients' subscriptions and failures"),
  ).action(async (options: Shared) => {
    const operator = await findOperator(options.hub, folder);
    const overview = await operator.read(Overview, "GET", "/api/webhooks");
    outputOf(options).result(overview, textOf(overview));
  });

  const add = withHub(new Command("add").description("send events to a URL, signed as Standard Webhooks says"))
    .argument("<url>", "the receiver, or with --ntfy the URL of a topic")
    .option("--ntfy", "send notifications to a topic of ntfy instead")
    .option("--type <type...>", "only these events, such as permission.requested (default: all)")
    .option("--machine <name>", "only events of this machine: the computer that has the name now")
    .option("--session <handle>", "only events of this session, <machine>/<id>")
    .action(async (url: string, options: AddOptions) => {
      const { ntfy, type: types, machine: machineId, session } = options;
      const operator = await findOperator(options.hub, folder);
      const request = { url, kind: ntfy === true ? "ntfy" : "webhook", types, machineId, session };
      const added = await operator.read(Added, "POST", "/api/webhooks", request);
      const { id, secret } = added;
      const shown = secret === null ? [] : [`Secret, shown only now: ${secret}`];
      outputOf(options).result(added, [`Added ${id}. Try it out: codez webhooks test ${id}`, ...shown]);
    });

  const remove = withHub(new Command("remove").description("remove a webhook, or end an MCP client's subscription"))
    .argument("<id>", "its id from `codez webhooks list`")
    .action(async (id: string, options: Shared) => {
      const operator = await findOperator(options.hub, folder);
      await operator.ask("DELETE", pathOf(id));
      outputOf(options).result({ removed: id }, `Removed ${id}.`);
    });

  const test = withHub(new Command("test").description("send a test message to a webhook"))
    .argument("<id>", "its id from `codez webhooks list`")
    .action(async (id: string, options: Shared) => {
      const operator = await findOperator(options.hub, folder);
      const tested = await operator.read(Tested, "POST", `${pathOf(id)}/test`);
      if (!tested.delivered)
        throw new CodezFailure(
          ExitCode.REFUSED,
          `The receiver did not take the test message: ${tested.fault ?? "unknown"}.`,
          "Look at the receiver's own log. It has to answer with 2xx within 8 seconds, and not with a redirect.",
        );
      outputOf(options).result(tested, "The receiver took the test message.");
    });

  const retry = withHub(new Command("retry").description("send again what could not be delivered"))
    .argument("<id>", "the webhook's id from `codez webhooks list`")
    .action(async (id: string, options: Shared) => {
      const operator = await findOperator(options.hub, folder);
      const { retried } = await operator.read(Retried, "POST", `${pathOf(id)}/retry`);
      const text =
        retried === 0
          ? "No message was given up. One that waits is sent again by itself."
          : `Messages that are sent again: ${retried}.`;
      outputOf(options).result({ retried }, text);
    });

  const all = new Command("webhooks").description("send events to URLs, and see what could not be delivered");
  for (const one of [list, add, remove, test, retry]) all.addCommand(one.exitOverride());
  return all;
}

function pathOf(id: string): string {
  return `/api/webhooks/${encodeURIComponent(id)}`;
}

function textOf({ subscriptions, dead }: Overview): string[] {
  if (subscriptions.length === 0) return ["No webhooks. Add one: codez webhooks add <url>"];
  const rows = subscriptions.map((one) => [
    one.id,
    one.kind === "client" ? one.client : one.kind,
    one.types?.join(",") ?? "all",
    one.filter.session ?? one.filter.machine ?? "all",
    stateOf(one, dead.filter(({ subscription }) => subscription === one.id).length),
    one.url,
  ]);
  const table = tableOf([["ID", "FOR", "EVENTS", "OF", "STATE", "URL"], ...rows]);
  return [...table, ...subscriptions.filter(({ isPaused }) => isPaused === true).map(whyPaused)];
}

/** The computer that it was limited to has no name here. */
function whyPaused({ id, kind, filter }: Webhook): string {
  const again = kind === "client" ? "have its client subscribe again" : "add it again";
  return `${id} is paused: the computer that it was limited to was removed, or another one is called "${filter.machine}" now. It goes on when that computer is back. To hear of the one that has the name now: codez webhooks remove ${id}, and ${again}.`;
}

function stateOf({ isPaused, suspendedMs, failedSinceMs, lastFault, pending }: Webhook, dead: number): string {
  const working = failedSinceMs !== null ? `failing (${lastFault ?? "?"})` : "ok";
  const state = isPaused === true ? "paused" : suspendedMs !== null ? "suspended" : working;
  return [state, ...(pending > 0 ? [`${pending} waiting`] : []), ...(dead > 0 ? [`${dead} given up`] : [])].join(", ");
}

import { readFileSync } from "node:fs";
import { Command, InvalidArgumentError } from "commander";
import * as z from "zod";
import { parseJson } from "#protocol/json.ts";
import { isoDay } from "#protocol/iso-time.ts";
import { ExitCode } from "../exit-code.ts";
import { CodezFailure } from "../failure.ts";
import { findOperator } from "../find-operator.ts";
import { ENROLMENT_KEY } from "../setup/enrol.ts";
import { countIn } from "./argument.ts";
import { type Context, outputOf, withHub } from "./context.ts";
import { tableOf } from "./table.ts";

const DAY_MS = 24 * 60 * 60_000;

const Key = z.object({
  id: z.string(),
  tag: z.string(),
  reusable: z.boolean(),
  expiresMs: z.number(),
  maxMachines: z.number(),
  used: z.number(),
  machines: z.array(z.string()),
  hasPolicy: z.boolean(),
});
type Key = z.infer<typeof Key>;
const Keys = z.object({ keys: z.array(Key) });
const Created = Key.extend({ key: z.string() });
const Revoked = z.object({ removed: z.array(z.string()) });

type Shared = { hub?: string; json?: boolean };
type CreateOptions = Shared & {
  ephemeral?: boolean;
  tag: string;
  reusable?: boolean;
  expires?: number;
  machines?: number;
  policy?: string;
};

/** `codez keys`: enrolment keys, with which containers and runners become machines without a person. */
export function keysCommand({ folder }: Context): Command {
  const list = withHub(new Command("list").description("list your enrolment keys, and the machines of each")).action(
    async (options: Shared) => {
      const operator = await findOperator(options.hub, folder);
      const { keys } = await operator.read(Keys, "GET", "/api/keys");
      const none = "No enrolment keys. Create one: codez keys create --ephemeral --tag ci --reusable";
      outputOf(options).result({ keys }, keys.length === 0 ? none : textOf(keys));
    },
  );

  const create = withHub(new Command("create").description("create an enrolment key, which is shown only once"))
    .requiredOption("--tag <name>", "its machines are called <name>, <name>-2, <name>-3 and so on")
    .option("--ephemeral", "its machines are removed when they end or fall silent (every key's are)")
    .option("--reusable", "for several machines (default: for one)")
    .option("--machines <count>", "how many may exist at the same time", countIn)
    .option("--expires <days>", "days until it enrols nobody any more, such as 30 or 30d (default: 30)", daysIn)
    .option("--policy <file>", "a serve.json for its machines, where they have none of their own")
    .action(async (options: CreateOptions) => {
      const operator = await findOperator(options.hub, folder, "person");
      const created = await operator.read(Created, "POST", "/api/keys", requestOf(options));
      outputOf(options).result(created, `${ENROLMENT_KEY}=${created.key}`);
    });

  const revoke = withHub(new Command("revoke").description("revoke an enrolment key immediately"))
    .argument("<id>", "the key's id from `codez keys list`")
    .option("--and-machines", "also remove the machines that it enrolled")
    .action(async (id: string, options: Shared & { andMachines?: boolean }) => {
      const operator = await findOperator(options.hub, folder);
      const query = options.andMachines === true ? "?machines=true" : "";
      const { removed } = await operator.read(Revoked, "DELETE", `/api/keys/${encodeURIComponent(id)}${query}`);
      const machines = removed.length === 0 ? "" : ` Removed ${removed.join(", ")}.`;
      outputOf(options).result({ revoked: id, removed }, `Revoked ${id}.${machines}`);
    });

  const all = new Command("keys").description("create, list and revoke enrolment keys for containers and runners");
  all.addCommand(list, { isDefault: true });
  for (const one of [create, revoke]) all.addCommand(one);
  return all;
}

function requestOf({ tag, reusable, expires, machines, policy }: CreateOptions): object {
  return {
    tag,
    ephemeral: true,
    reusable: reusable === true,
    ...(expires === undefined ? {} : { expiresMs: Date.now() + expires * DAY_MS }),
    ...(machines === undefined ? {} : { maxMachines: machines }),
    ...(policy === undefined ? {} : { policy: policyIn(policy) }),
  };
}

function policyIn(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (reason) {
    throw new CodezFailure(ExitCode.USAGE, `${path} cannot be read: ${String(reason)}`, "codez keys create --help");
  }
  const policy = parseJson(text);
  if (policy !== undefined) return policy;
  throw new CodezFailure(ExitCode.USAGE, `${path} is not JSON.`, "Look for a missing comma, quote or bracket.");
}

function textOf(keys: readonly Key[]): string[] {
  const rows = keys.map(({ id, tag, reusable, expiresMs, used, maxMachines, machines, hasPolicy }) => [
    id,
    tag,
    reusable ? `up to ${maxMachines} at once` : "once",
    String(used),
    isoDay(expiresMs),
    hasPolicy ? "own" : "default",
    machines.join(",") || "-",
  ]);
  return tableOf([["ID", "TAG", "FOR", "USED", "UNTIL", "POLICY", "MACHINES"], ...rows]);
}

function daysIn(text: string): number {
  const days = Number(/^(\d{1,4})d?$/.exec(text)?.[1]);
  if (!(days > 0 && days <= 366)) throw new InvalidArgumentError("must be a number of days, at most 366");
  return days;
}

import { Command, InvalidArgumentError } from "commander";
import * as z from "zod";
import { isoDay } from "#protocol/iso-time.ts";
import { findOperator } from "../find-operator.ts";
import { countIn } from "./argument.ts";
import { type Context, outputOf, withHub } from "./context.ts";
import { tableOf } from "./table.ts";

const DAY_MS = 24 * 60 * 60_000;

const Token = z.object({
  id: z.string(),
  label: z.string(),
  scopes: z.array(z.string()),
  machines: z.array(z.string()).nullable(),
  createdMs: z.number(),
  expiresMs: z.number().nullable(),
  /** An Operator before 0.3 has no budgets. */
  callsPerDay: z.number().nullable().default(null),
});
type Token = z.infer<typeof Token>;
const Tokens = z.object({ tokens: z.array(Token) });
const Created = Token.extend({ token: z.string() });

type Shared = { hub?: string; json?: boolean };
type CreateOptions = Shared & {
  readOnly?: boolean;
  admin: boolean;
  machine?: string[];
  expires?: number;
  callsPerDay?: number;
  mayCreateTokens?: boolean;
};

/** `codez tokens`: personal access tokens, for scripts and for clients that cannot sign in. */
export function tokensCommand({ folder }: Context): Command {
  const list = withHub(new Command("list").description("list your tokens")).action(async (options: Shared) => {
    const operator = await findOperator(options.hub, folder);
    const { tokens } = await operator.read(Tokens, "GET", "/api/tokens");
    outputOf(options).result(
      { tokens },
      tokens.length === 0 ? "No tokens. Create one: codez tokens create <label>" : textOf(tokens),
    );
  });

  const create = withHub(new Command("create").description("create a token, which is shown only once"))
    .argument("<label>", "what the token is for")
    .option("--read-only", "it may look, not act")
    .option("--no-admin", "without the right to manage machines and tokens")
    .option("--machine <name...>", "limit the token to these machines (implies --no-admin)")
    .option("--expires <days>", "days until the token expires (default: never)", daysIn)
    .option("--calls-per-day <calls>", "requests that it may make per day, in UTC (implies --no-admin)", countIn)
    .option("--may-create-tokens", "it may create tokens without a person who signs in (not with a limit)")
    .action(async (label: string, options: CreateOptions) => {
      const operator = await findOperator(options.hub, folder, "person");
      const created = await operator.read(Created, "POST", "/api/tokens", requestOf(label, options));
      outputOf(options).result(created, created.token);
    });

  const revoke = withHub(new Command("revoke").description("revoke a token immediately"))
    .argument("<id>", "the token's id from `codez tokens list`")
    .action(async (id: string, options: Shared) => {
      const operator = await findOperator(options.hub, folder);
      await operator.ask("DELETE", `/api/tokens/${encodeURIComponent(id)}`);
      outputOf(options).result({ revoked: id }, `Revoked ${id}.`);
    });

  const all = new Command("tokens").description("create, list and revoke personal access tokens");
  for (const one of [list, create, revoke]) all.addCommand(one.exitOverride());
  return all;
}

function requestOf(label: string, options: CreateOptions): object {
  const { readOnly, admin, machine, expires, callsPerDay, mayCreateTokens } = options;
  const isLimited = !admin || readOnly === true || machine !== undefined || callsPerDay !== undefined;
  return {
    label,
    ...(isLimited ? { scopes: [readOnly === true ? "operator:read" : "mcp:tools"] } : {}),
    ...(mayCreateTokens === true ? { scopes: ["mcp:tools", "operator:admin", "operator:tokens"] } : {}),
    ...(machine === undefined ? {} : { machines: machine }),
    ...(expires === undefined ? {} : { expiresMs: Date.now() + expires * DAY_MS }),
    ...(callsPerDay === undefined ? {} : { callsPerDay }),
  };
}

function textOf(tokens: readonly Token[]): string[] {
  const rows = tokens.map(({ id, label, scopes, machines, createdMs, expiresMs, callsPerDay }) => [
    id,
    label,
    scopes.join(","),
    machines === null ? "all" : machines.join(","),
    callsPerDay === null ? "any" : String(callsPerDay),
    day(createdMs),
    expiresMs === null ? "never" : day(expiresMs),
  ]);
  return tableOf([["ID", "LABEL", "MAY", "MACHINES", "CALLS/DAY", "SINCE", "UNTIL"], ...rows]);
}

function day(ms: number): string {
  return isoDay(ms);
}

function daysIn(text: string): number {
  const days = Number(text);
  if (!(days > 0 && days <= 3_650)) throw new InvalidArgumentError("must be a number of days, at most 3650");
  return days;
}

import { Command, InvalidArgumentError } from "commander";
import { Rollout, RolloutAnswer, type StartRollout } from "#protocol/rollout.ts";
import { apiAt, type OperatorApi, originOf, type Where } from "../operator-api.ts";
import { describeRollout } from "./describe.ts";
import { print } from "../../print.ts";

type StartOptions = Where & { canary?: string[]; tag?: string; share?: number; watch?: number; wait?: number };

/**
 * `operator rollout`: brings machines to the template of the Operator that runs, canaries first.
 * @param localUrl the address of the Operator on this computer; `null` if none runs
 */
export function rolloutCommand(localUrl: () => Promise<string | null>): Command {
  const api = async (where: Where): Promise<OperatorApi> => apiAt(await originOf(where, localUrl));
  const rollout = new Command("rollout").description(
    "give machines the current template, a few first, and back if it fails",
  );
  const add = (usage: string, description: string): Command =>
    rollout
      .command(usage)
      .description(description)
      .option("--url <url>", "the Operator's address (default: OPERATOR_URL, or the one on this computer)");

  add("start", "give it to the canaries; when they are well, to the others")
    .option("--canary <machine...>", "these machines first")
    .option("--tag <tag>", "first those with this system, architecture or capability, such as linux")
    .option("--share <share>", "first this share of the machines that are online (default: 5%)", shareIn)
    .option("--watch <time>", "how long each machine is watched, such as 90s, 10m or 2h (default: 1m)", timeIn)
    .option("--wait <time>", "how long to wait for calls in progress on a machine (default: 10m)", timeIn)
    .action(async ({ canary: names, tag, share, watch, wait, ...where }: StartOptions) => {
      const canary = { ...(names && { names }), ...(tag && { tag }), ...(share !== undefined && { share }) };
      if (Object.keys(canary).length > 1) throw new Error("Choose canaries in one way: --canary, --tag or --share.");
      const asked: StartRollout = {
        ...(Object.keys(canary).length === 0 ? {} : { canary }),
        ...(watch === undefined ? {} : { watchMs: watch }),
        ...(wait === undefined ? {} : { waitMs: wait }),
      };
      const started = await (await api(where)).ask("POST", "/api/rollout", JSON.stringify(asked));
      show(Rollout.parse(started));
    });

  add("status", "what it has come to, machine by machine").action(async (where: Where) => {
    const { rollout: current, mode } = RolloutAnswer.parse(await (await api(where)).ask("GET", "/api/rollout"));
    if (current === null) print("There has been no rollout.");
    else show(current);
    print(
      mode === "automatic"
        ? "Without a rollout, a machine gets the current template when it dials in."
        : "Without a rollout, no machine gets another template.",
    );
  });

  for (const [change, description] of [
    ["pause", "upload nothing more; machines that were just upgraded are still watched"],
    ["resume", "go on"],
    ["back", "give every machine the template that it had"],
  ] as const)
    add(change, description).action(async (where: Where) =>
      show(Rollout.parse(await (await api(where)).ask("POST", `/api/rollout/${change}`))),
    );

  add(
    "mode <mode>",
    "automatic: machines also get the current template when they dial in; manual: only by a rollout",
  ).action(async (mode: string, where: Where) => {
    await (await api(where)).ask("PUT", "/api/rollout/mode", JSON.stringify({ mode }));
    print(`rollouts are ${mode}`);
  });
  return rollout;
}

function show(rollout: Rollout): void {
  print(describeRollout(rollout, Date.now()));
}

const UNITS = { s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** A time such as `90s`, in milliseconds. */
function timeIn(text: string): number {
  const [, count, unit] = /^(\d{1,6})([smh])$/.exec(text) ?? [];
  if (count === undefined) throw new InvalidArgumentError("Give a time such as 90s, 10m or 2h.");
  return Number(count) * UNITS[unit as keyof typeof UNITS]; // the pattern admits no other
}

/** A share such as `10%` or `0.1`. */
function shareIn(text: string): number {
  const share = text.endsWith("%") ? Number(text.slice(0, -1)) / 100 : Number(text);
  if (!(share > 0 && share <= 1)) throw new InvalidArgumentError("Give a share such as 10% or 0.1.");
  return share;
}

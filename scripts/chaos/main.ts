import { runCampaign } from "./campaign.ts";
import { describeReturns, measureReturns } from "./fleet/returns.ts";
import { HELP, readOptions } from "./options.ts";
import { report } from "./report.ts";
import { World } from "./world.ts";

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (options.help) return void console.log(HELP);
  if (process.platform !== "linux") throw new Error("The campaigns read /proc, so they run on Linux only.");
  const say = options.verbose ? (line: string) => console.error(line.trimEnd()) : () => undefined;
  if (options.fleet !== null) return restartWith(options.fleet, say);
  const length = options.faults === null ? `${options.minutes} minutes` : `${options.faults} faults`;
  console.log(`${length}, ${options.machines} machines, seed ${options.seed}`);
  await using world = await World.build({ machines: options.machines, say });
  const resources = await runCampaign(world, { ...options, say });
  const { text, isSound } = report(world.ledger, resources);
  console.log(text);
  if (isSound) return;
  const only = options.only === null ? "" : ` --only "${options.only.join(",")}"`;
  console.log(
    `\nAgain: npm run chaos -- ${options.faults === null ? `--minutes ${options.minutes}` : `--faults ${options.faults}`} --machines ${options.machines} --seed ${options.seed}${only}`,
  );
  process.exitCode = 1;
}

async function restartWith(machines: number, say: (line: string) => void): Promise<void> {
  console.log(`Operator is restarted with ${machines} connected machines; times are from its first answer\n`);
  const returns = await measureReturns(machines, say);
  console.log(describeReturns(returns));
  if (returns.some(({ missing }) => missing.length > 0)) process.exitCode = 1;
}

main().catch((reason: unknown) => {
  console.error(reason instanceof Error ? (reason.stack ?? reason.message) : reason);
  process.exit(1);
});

import { createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { HELP, readArguments } from "./arguments.ts";
import { banner } from "./banner.ts";
import { isClaimable } from "./claim.ts";
import { startOperator } from "./operator.ts";

/** As a shell counts a death by signal. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

async function main(): Promise<void> {
  const { port, stateDir, verbose, help } = readArguments(process.argv.slice(2), process.env);
  if (help) return void console.log(HELP);
  // Exiting ends everything that was started: Miniflare kills its workerds on "exit", and the lock is released there.
  for (const [signal, code] of Object.entries(EXIT_CODES)) process.on(signal, () => process.exit(code));

  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const file = createWriteStream(join(stateDir, "operator.log"), { flags: "w", mode: 0o600 });
  const log = (line: string) => {
    file.write(`${line}\n`);
    if (verbose) console.error(line);
  };
  console.error("Starting Operator ...");
  const report = (line: string) => {
    console.error(line);
    file.write(`${line}\n`);
  };
  const running = await startOperator({ port, stateDir, report, log });
  console.log(banner({ ...running, claimCode: (await isClaimable(running.url)) ? running.claimCode : null }));
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
});

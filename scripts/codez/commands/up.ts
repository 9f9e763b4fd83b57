import { Command } from "commander";
import { connectMachine, untilInterrupted } from "../connect-machine.ts";
import { startServe, type Serve } from "../../serve/index.ts";
import { LAUNCHD_OPTION } from "../launchd.ts";
import { serveFailureOf } from "../serve-failure.ts";
import { VERSION } from "../version.ts";
import { type Context, JSON_OPTION, outputOf } from "./context.ts";

/** `codez up`: serve and connect in one process, as a service runs them. */
export function upCommand({ folder }: Context): Command {
  return new Command("up")
    .description("serve this machine's Claude Code sessions and connect them to Operator")
    .argument("[name]", "the machine (needed when this computer is set up as several)")
    .option(...JSON_OPTION)
    .addOption(LAUNCHD_OPTION)
    .action(async (name: string | undefined, options: { json?: boolean }) => {
      const output = outputOf(options);
      const { key, profile } = folder.choose(name);
      const interrupted = untilInterrupted();
      const serve = await start();
      try {
        for (const problem of await serve.problems()) output.line(`warning: ${problem}`);
        await connectMachine({
          folder,
          key,
          profile,
          target: { kind: "url", url: serve.url },
          events: false, // serve runs in this process, so its events are subscribed to instead of polled
          output,
          interrupted,
          started: (running) => {
            serve.subscribe(({ atMs, type, session, data }) => running.push([{ atMs, type, session, data }]));
          },
        });
      } finally {
        await serve.stop();
      }
    });
}

/** Throws `CodezFailure` for every reason that its owner can do something about. */
async function start(): Promise<Serve> {
  try {
    return await startServe({ version: VERSION });
  } catch (reason) {
    throw serveFailureOf(reason) ?? reason;
  }
}

import { Command, Option } from "commander";
import { configIn, startServe, type Serve } from "../../serve/index.ts";
import { isTerminal } from "../ask.ts";
import { connectMachine, untilInterrupted } from "../connect-machine.ts";
import { LAUNCHD_OPTION } from "../launchd.ts";
import type { OperatorClient } from "../operator-client.ts";
import type { Output } from "../output.ts";
import type { Profile } from "../profile/profile.ts";
import { checkConfig, serveFailureOf } from "../serve-failure.ts";
import { Service } from "../service/service.ts";
import { ENROLMENT_KEY, enrol } from "../setup/enrol.ts";
import { firstUp, profileHere } from "../setup/first-up.ts";
import { PERMISSION_ANSWERS, type PermissionAnswer } from "../setup/permission-choice.ts";
import { proveByCall } from "../setup/prove-call.ts";
import { endSignIns } from "../sign-in/sign-in.ts";
import { VERSION } from "../version.ts";
import { type Context, outputOf, withHub } from "./context.ts";

type Options = {
  hub?: string;
  json?: boolean;
  service?: boolean;
  permissions?: PermissionAnswer;
  ephemeral?: boolean;
};

/**
 * `codez up`: everything that it takes to offer this computer's Claude Code sessions. The first time it adds the computer as a
 * machine and installs codez to stay. Then, each time, it serves and connects in one process, as a service runs it.
 */
export function upCommand({ folder }: Context): Command {
  return withHub(
    new Command("up").description("serve this machine's Claude Code sessions and connect them to Operator"),
  )
    .argument("[name]", "the machine (needed when this computer is set up as several)")
    .option("--ephemeral", `a machine for as long as this runs, by the key in ${ENROLMENT_KEY}, without a person`)
    .option("--service", "install the service that connects whenever this computer starts, without asking")
    .option("--no-service", "connect in this terminal, and do not ask about a service")
    .addOption(
      new Option("--permissions <who>", "who answers permission requests, if that was not chosen before").choices(
        PERMISSION_ANSWERS,
      ),
    )
    .addOption(LAUNCHD_OPTION)
    .action(async (name: string | undefined, options: Options) => {
      const output = outputOf(options);
      if (options.ephemeral === true) return upEphemeral(output);
      const mayAsk = options.json !== true && isTerminal();
      // Before anything is installed: with a wrong serve.json nothing would run afterwards.
      checkConfig();
      const known = profileHere(folder, options.hub, name);
      const first = known === null ? await firstUp(folder, name, { ...options, mayAsk }, output) : null;
      const { key, profile, operator } = first ?? { ...(known ?? folder.choose(name)), operator: null };
      if (first === null && options.service === true)
        for (const line of await new Service(key).install(profile.target)) output.line(line);
      if (options.service === true || first?.isService === true) return prove(operator, profile, output);
      const interrupted = untilInterrupted();
      const serve = await start(output);
      let isProven = false;
      try {
        await tellWhatIsServed(serve, output);
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
          online: () => {
            if (isProven) return;
            isProven = true;
            prove(operator, profile, output).catch((reason: unknown) => output.line(`warning: ${String(reason)}`));
          },
        });
      } finally {
        await serve.stop();
      }
    });
}

/** `codez up --ephemeral`: becomes a machine by an enrolment key, serves, and is gone from Operator when it ends. */
async function upEphemeral(output: Output): Promise<void> {
  checkConfig();
  const interrupted = untilInterrupted();
  const machine = await enrol();
  try {
    const serve = await start(output, machine.policy);
    let isTold = false;
    try {
      await connectMachine({
        ...machine,
        target: { kind: "url", url: serve.url },
        events: false,
        output,
        interrupted,
        started: (running) => {
          serve.subscribe(({ atMs, type, session, data }) => running.push([{ atMs, type, session, data }]));
        },
        // Not before: starting Claude Code to ask for its version takes longer than getting online.
        online: () => {
          if (isTold) return;
          isTold = true;
          tellWhatIsServed(serve, output).catch((reason: unknown) => output.line(`warning: ${messageOf(reason)}`));
        },
      });
    } finally {
      await serve.stop();
    }
  } finally {
    // If Operator cannot be reached now, it removes the machine itself after a few minutes of silence.
    await machine
      .leave()
      .catch((reason: unknown) => output.line(`warning: could not say goodbye: ${messageOf(reason)}`));
  }
}

function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}

/** Says whether calls arrive from outside, and gives the sign-in back, which is needed for nothing else. */
async function prove(operator: OperatorClient | null, profile: Profile, output: Output): Promise<void> {
  const { proven, detail } = await proveByCall(operator, profile);
  await endSignIns();
  output.result({ event: proven ? "proven" : "not_proven", detail }, `${proven ? "proven" : "NOT proven"}: ${detail}`);
}

async function tellWhatIsServed(serve: Serve, output: Output): Promise<void> {
  const { agent, problems } = await serve.health();
  output.line(
    agent.version === null
      ? "no session can be started without Claude Code; the history of earlier ones can be read"
      : `serving the sessions of Claude Code ${agent.version}`,
  );
  for (const problem of problems) output.line(`warning: ${problem}`);
}

/** Throws `CodezFailure` for every reason that its owner can do something about. */
async function start(output: Output, policy: Record<string, unknown> | null = null): Promise<Serve> {
  try {
    return await startServe({
      version: VERSION,
      ...(policy === null ? {} : { overrides: configIn(policy, "the policy of the enrolment key") }),
      onConfig: (problem) => {
        for (const line of problem === null ? ["serve.json is right again"] : `warning: ${problem}`.split("\n"))
          output.line(line);
      },
    });
  } catch (reason) {
    throw serveFailureOf(reason) ?? reason;
  }
}

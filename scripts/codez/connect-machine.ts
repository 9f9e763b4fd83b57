import { type EventSource, TargetWatch } from "../connector/index.ts";
import { decisionsOf, describeTarget, makeTarget } from "./make-target.ts";
import type { Output } from "./output.ts";
import type { Profile, TargetSpec } from "./profile/profile.ts";
import type { ProfileFolder } from "./profile/profile-folder.ts";
import { failureOf, RunningConnector } from "./run-connector.ts";
import { VERSION } from "./version.ts";

export type ConnectOptions = {
  readonly folder: ProfileFolder;
  readonly key: string;
  readonly profile: Profile;
  readonly target: TargetSpec;
  /** Whether to fetch the events of the target. */
  readonly events: EventSource;
  readonly output: Output;
  readonly interrupted: AbortSignal;
  /** Called when the connector runs, by callers that deliver the events themselves. */
  readonly started?: (running: RunningConnector) => void;
  /** Called each time the link is up. */
  readonly online?: () => void;
};

/** Keeps the machine's link up until it is interrupted. Throws `CodezFailure` when it ends for another reason. */
export async function connectMachine(options: ConnectOptions): Promise<void> {
  const { folder, key, profile, output, interrupted } = options;
  const target = makeTarget(options.target, profile.name);
  try {
    const running = RunningConnector.start({
      folder,
      key,
      target,
      decisions: decisionsOf(options.target),
      online: (name, epoch) => {
        output.result({ event: "online", machine: name, epoch }, `online: "${name}" at ${profile.hub}`);
        options.online?.();
      },
      offline: (reason, retryInMs) =>
        output.result(
          { event: "offline", machine: profile.name, reason, retryInMs },
          `offline: ${reason}; reconnecting`,
        ),
      diskFault: (fault) =>
        fault === null
          ? output.result({ event: "disk_recovered" }, "events are written to disk again")
          : output.result(
              { event: "disk_failed", ...fault },
              `warning: ${fault.reason}. Events are kept in memory and sent when they are on disk; free some space at ${folder.path}`,
            ),
    });
    output.line(`connecting ${describeTarget(options.target)} as "${profile.name}" to ${profile.hub} (Ctrl-C ends it)`);
    options.started?.(running);
    const watch = new TargetWatch({
      target,
      events: options.events,
      folders: [options.target.kind === "command" ? options.target.cwd : process.cwd()],
      version: VERSION,
      isolated: options.target.kind === "command",
      cursor: () => running.spool.cursor,
      push: (events, cursor) => running.push(events, cursor),
      learn: (facts) => running.learn(facts),
      report: (isThere, detail) => reportTarget(options, isThere, detail),
    });
    const stop = (): void => running.connector.stop("the connector was ended");
    interrupted.addEventListener("abort", stop, { once: true });
    if (interrupted.aborted) stop();
    const stopped = await running.stopped.finally(() => watch.stop());
    const failure = failureOf(stopped, profile.name, profile.hub);
    if (failure !== null) throw failure;
  } finally {
    await target.close();
  }
}

/** Reports whether the target answers. The link stays up without it, and callers are told what to start. */
function reportTarget({ output, target }: ConnectOptions, isThere: boolean, detail: string): void {
  const where = describeTarget(target);
  const text = isThere ? `serving ${detail}` : `no answer from ${where}: ${detail}`;
  output.result({ event: isThere ? "serving" : "no_target", target: where, detail }, text);
}

/** Aborts at Ctrl-C and when a service manager stops the process. A second Ctrl-C kills the process, as usual. */
export function untilInterrupted(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => controller.abort());
  return controller.signal;
}

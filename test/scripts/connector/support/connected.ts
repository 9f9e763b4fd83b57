import { randomUUID } from "node:crypto";
import {
  Connector,
  type ConnectorOptions,
  type Credentials,
  type Stopped,
} from "../../../../scripts/connector/connector.ts";
import { emptySpool } from "../../../../scripts/connector/event-sender.ts";
import { machineFacts } from "../../../../scripts/connector/facts.ts";
import { HttpTarget } from "../../../../scripts/connector/http-target.ts";
import type { Target } from "../../../../scripts/connector/target.ts";
import { HttpServer, type Handler } from "./http-server.ts";
import { ScriptStandIn, type StandInLink } from "./script-stand-in.ts";

/** A running connector between a stand-in for the script and a target. */
export type Connected = AsyncDisposable & {
  readonly script: ScriptStandIn;
  readonly connector: Connector;
  readonly target: Target;
  readonly stopped: Promise<Stopped>;
  readonly link: StandInLink;
};

export type ConnectOptions = Partial<Omit<ConnectorOptions, "target" | "credentials">> & {
  /** `linkUrl`: where the stand-in listens. */
  /** The stored position in the stand-in's first welcome. */
  readonly ackedAtFirst?: number;
  readonly credentialsAt?: (linkUrl: string) => Promise<Credentials>;
};

/** Starts a connector with right credentials and waits for its first link. */
export async function connect(target: Target, options: ConnectOptions = {}): Promise<Connected> {
  const script = await ScriptStandIn.start();
  script.acked = options.ackedAtFirst ?? 0;
  const connector = new Connector({
    credentials: () =>
      options.credentialsAt?.(script.linkUrl) ?? Promise.resolve({ linkUrl: script.linkUrl, token: "right-token" }),
    renamed: () => Promise.resolve(),
    facts: () => machineFacts("0.0.0"),
    spool: emptySpool(randomUUID()),
    random: () => 0,
    ...options,
    target,
  });
  const stopped = connector.run();
  const link = await script.link();
  return {
    script,
    connector,
    target,
    stopped,
    link,
    [Symbol.asyncDispose]: async () => {
      connector.stop("the test is over");
      await stopped;
      await target.close();
      await script[Symbol.asyncDispose]();
    },
  };
}

/** The same in front of an HTTP server that answers as `handler` says. */
export async function connectHttp(
  handler: Handler,
  options: ConnectOptions = {},
): Promise<Connected & { readonly server: HttpServer }> {
  const server = await HttpServer.start(handler);
  const connected = await connect(new HttpTarget(server.url, "attic", "Start it."), options);
  return {
    ...connected,
    server,
    [Symbol.asyncDispose]: async () => {
      await connected[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

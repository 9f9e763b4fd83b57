import { ByteRelay } from "./byte-relay.ts";
import { type CertificateSource, endsAtMs } from "./certificate.ts";
import { CertificateFiles } from "./certificate-files.ts";
import { Challenges } from "./challenges.ts";
import { TrustedProxies } from "./client-address.ts";
import { Front } from "./front.ts";
import type { HostileEdge } from "./hostile-edge.ts";
import type { Upstream } from "./relay.ts";

/** Where a public front's certificate comes from. */
export type TlsOptions =
  | { readonly kind: "files"; readonly certFile: string; readonly keyFile: string }
  | { readonly kind: "acme"; readonly email: string; readonly httpPort: number; readonly directoryUrl?: string }
  /** A proxy in front terminates TLS; its headers about clients are trusted. */
  | { readonly kind: "proxy"; readonly ranges: readonly string[] };

export type DoorOptions =
  /** Reachable from this computer only. */
  { readonly kind: "loopback"; readonly port: number; readonly edge?: HostileEdge | null } | PublicDoor;

/** Reachable from other computers, over TLS. */
export type PublicDoor = {
  readonly kind: "public";
  /** The address that clients use, such as `https://operator.example.com`. */
  readonly origin: string;
  readonly host: string;
  readonly port: number;
  readonly tls: TlsOptions;
  /** The folder for certificates that ACME obtains. */
  readonly folder: string;
};

/** The server through which callers reach an Operator on your own computer. */
export type Door = AsyncDisposable & {
  readonly port: number;
  /** When the current certificate expires, in milliseconds since 1970; `null` without a certificate. */
  readonly certificateEndsMs: number | null;
};

/** @throws Error with a message for the person who starts it, such as a port in use or an unusable certificate */
export async function openDoor(options: DoorOptions, upstream: Upstream, log: (line: string) => void): Promise<Door> {
  if (options.kind === "loopback") {
    const { port: wanted, edge = null } = options;
    return loopback(await listening("127.0.0.1", wanted, () => ByteRelay.start(wanted, upstream, edge)));
  }
  const { origin, host, port, tls } = options;
  await using opened = new AsyncDisposableStack();
  const source = await certificateSource(options, opened, log);
  const front = await listening(host, port, () =>
    Front.start({
      host,
      port,
      upstream,
      certificate: source?.current ?? null,
      trusted: new TrustedProxies(tls.kind === "proxy" ? tls.ranges : []),
      log,
    }),
  );
  opened.use(front);
  source?.onRenewed((certificate) => front.renew(certificate));
  log(`listening on ${host} port ${front.port} for ${origin}`);
  const kept = opened.move();
  return {
    port: front.port,
    get certificateEndsMs() {
      return source === null ? null : endsAtMs(source.current);
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

function loopback(relay: ByteRelay): Door {
  return { port: relay.port, certificateEndsMs: null, [Symbol.asyncDispose]: () => relay[Symbol.asyncDispose]() };
}

async function certificateSource(
  { origin, host, tls, folder }: PublicDoor,
  opened: AsyncDisposableStack,
  log: (line: string) => void,
): Promise<CertificateSource | null> {
  switch (tls.kind) {
    case "proxy":
      return null;
    case "files":
      return opened.use(new CertificateFiles({ ...tls, log }));
    case "acme": {
      const { email, httpPort, directoryUrl } = tls;
      const challenges = opened.use(
        await listening(host, httpPort, () => Challenges.start(host, httpPort, origin, log), "--http-port"),
      );
      // Loaded here only: the ACME client takes 25 MB, which other starts do not need.
      const { AcmeCertificate } = await import("./acme-certificate.ts");
      const hosts = [new URL(origin).hostname];
      const more = directoryUrl === undefined ? {} : { directoryUrl };
      return opened.use(await AcmeCertificate.start({ email, hosts, folder, challenges, log, ...more }));
    }
  }
}

/** Starts a listener. @throws Error that says what to do when the port is in use or needs a privilege */
export async function listening<Listener>(
  host: string,
  port: number,
  start: () => Promise<Listener>,
  /** The option with which the user can choose another port, for the error message. */
  option = "--port or OPERATOR_PORT",
): Promise<Listener> {
  try {
    return await start();
  } catch (reason) {
    const code = reason instanceof Error && "code" in reason ? reason.code : null;
    if (code === "EADDRINUSE") throw new PortTaken(host, port, option, reason);
    if (code === "EACCES")
      throw new Error(
        `this user may not listen on port ${port}: run it as a service with CAP_NET_BIND_SERVICE, or behind a proxy (--behind-proxy)`,
        { cause: reason },
      );
    throw reason;
  }
}

export class PortTaken extends Error {
  override readonly name = "PortTaken";

  /** @param option with which the user can choose another port */
  constructor(host: string, port: number, option: string, cause?: unknown) {
    super(`port ${port} on ${host} is taken by another program; choose another one with ${option}`, { cause });
  }
}

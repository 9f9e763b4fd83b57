/** This computer, as URLs name it. */
const LOOPBACK = "127.0.0.1,localhost,[::1]";

/**
 * Keeps what this process sends to its own computer from HTTP_PROXY, which Node's `fetch` uses with NODE_USE_ENV_PROXY=1: the proxy would read the
 * tokens in it. One that runs on this computer could also pass on the Operator's proof (scripts/trust), and so be taken for it.
 */
export function keepLoopbackUnproxied(env: NodeJS.ProcessEnv = process.env): void {
  // `fetch` reads them at each request, and NO_PROXY only if there is no `no_proxy`.
  const name = env["no_proxy"] === undefined ? "NO_PROXY" : "no_proxy";
  const listed = env[name];
  if (listed === "*") return; // no proxy at all
  env[name] = listed ? `${listed},${LOOPBACK}` : LOOPBACK;
}

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { CONTROL_BUILD } from "../../build/repository.ts";
import { linesOf } from "../../operator/finding.ts";
import { print } from "../../print.ts";
import { CheckApi } from "./check-api.ts";
import { CloudflareCheck } from "./check.ts";

const HELP = `Checks in your own Cloudflare account what Operator relies on and no stand-in can prove. A free account suffices.

  npm run check:cloudflare

It uploads two scripts (operator-check-...), uses them for about two minutes, and deletes them. It makes and changes nothing else.

Environment:
  CLOUDFLARE_ACCOUNT_ID  the account
  CLOUDFLARE_API_TOKEN   Workers Scripts: Edit`;

/** More than the 10 s after which an object without work hibernates, and more than the 60 s after which proxies drop silent connections. */
const IDLE_MS = 90_000;

/** `npm run check:cloudflare` */
async function main(): Promise<void> {
  const { CLOUDFLARE_ACCOUNT_ID: accountId, CLOUDFLARE_API_TOKEN: apiToken, CLOUDFLARE_API_URL } = process.env;
  if (!accountId || !apiToken) {
    console.error(HELP);
    process.exitCode = 2;
    return;
  }
  const api = new CheckApi({
    accountId,
    apiToken,
    apiUrl: CLOUDFLARE_API_URL ?? "https://api.cloudflare.com/client/v4",
  });
  const subdomain = await api.subdomain();
  if (subdomain === null)
    throw new Error("The account has no name on workers.dev. Choose one: dash.cloudflare.com, Workers & Pages.");
  const check = new CloudflareCheck({
    api,
    urlOf: (name) => `https://${name}.${subdomain}.workers.dev`,
    template: await readFile(join(CONTROL_BUILD, "machine.js.txt"), "utf8"),
    idleMs: IDLE_MS,
    say: (finding) => print(linesOf(finding)),
  });
  if (!(await check.run())) process.exitCode = 1;
}

await main().catch((reason: unknown) => {
  console.error(reason instanceof Error ? reason.message : reason);
  process.exitCode = 1;
});

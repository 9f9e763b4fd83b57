import { startPlatform } from "../../../../scripts/local/platform/platform.ts";
import { NAMESPACE, sdk, TOKEN, upload } from "./harness.ts";

/** A platform as a process that a test can kill: it uploads one version after the other, and tells its parent of each. */
const [stateDir = "", first = "1"] = process.argv.slice(2);
const platform = await startPlatform({ stateDir, apiToken: TOKEN });
await platform.directory.ensure(NAMESPACE);
const client = sdk(platform.apiUrl, TOKEN);
for (let version = Number(first); ; version += 1) {
  await upload(client, "attic", `export default { fetch: () => new Response("${version}") };`);
  process.send?.(version);
}

// Root cause: what is this computer, or of its network, was told from the special addresses alone. A server on the internet has a public one. Requests
// to it do not leave the computer, so a hosted server, and whoever names a document or webhook, reached what a firewall keeps from the internet.
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { canMakeComputers, Network } from "../../end-to-end/support/computer.ts";

const REACHING = fileURLToPath(new URL("support/reaching.ts", import.meta.url));

test.skipIf(!canMakeComputers())(
  "neither this computer nor its network is reached at its public addresses",
  async () => {
    await using network = new Network({});
    const box = network.add("box", "8.200.0.1");
    const neighbour = network.add("neighbour", "8.200.0.2");
    const serving = `require("node:http").createServer((_, to) => to.end("a neighbour")).listen(9001, "0.0.0.0", () => console.log("ready"))`;
    await neighbour.start(process.execPath, ["-e", serving]).says(/ready/);
    const urls = ["8.200.0.1", "8.200.0.2"].map((host) => `http://${host}:9001/`);
    const { output } = await box.run(process.execPath, [REACHING, "9002", ...urls]);
    const answers = JSON.parse(/^Got: (.*)$/m.exec(output)?.[1] ?? "null") as string[] | null;
    // workerd's own error for what is not allowed; no connection is tried.
    const refused = expect.stringMatching(/^Error: internal error;/);
    expect(answers, output).toEqual([refused, refused]);
  },
);

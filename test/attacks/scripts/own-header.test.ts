// Root cause: the header with which a script's guard tells the dispatch binding what became of a call was taken for the guard's
// when a machine's script sent it, and "refused" made the binding make the call again.
import { expect, test } from "vitest";
import { bench, gate, upload } from "../../scripts/local/support/harness.ts";

const SCRIPT = `let calls = 0;
export default { fetch: (request) => {
  const verdict = new URL(request.url).searchParams.get("verdict");
  calls += 1;
  return new Response(String(calls), { headers: verdict === null ? {} : { "operator-local-call": verdict, "x-mine": "kept" } });
} };`;

test.each(["refused", "threw", "cancelled", "", "x"])(
  "a script that answers with %j itself is called only once",
  async (verdict) => {
    const { client, platform } = await bench();
    await upload(client, "attic", SCRIPT);
    const { call } = await gate(platform);
    const response = await call("attic", `/?verdict=${verdict}`);
    expect([response.status, await response.text()]).toEqual([200, "1"]);
    expect(response.headers.get("operator-local-call")).toBeNull();
    expect(response.headers.get("x-mine")).toBe("kept");
    expect(await (await call("attic", "/")).text()).toBe("2");
  },
);

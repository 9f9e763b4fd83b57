import { setTimeout as sleep } from "node:timers/promises";
import { APIError } from "cloudflare";
import { describe, expect, test } from "vitest";
import { Chances } from "../../../../../scripts/local/platform/hostility/hostility.ts";
import { firstUpload, MACHINE, nextUpload } from "../../fixtures/machine.ts";
import { bench, eventually, gate, NAMESPACE, sdk, TOKEN, upload } from "../../support/harness.ts";

const at = { account_id: "local", dispatch_namespace: NAMESPACE };
const hello = (who: string): string => `export default { fetch: () => new Response("${who}") };`;

describe("an upload that replaces a script", () => {
  test("takes effect late: the API shows it at once, and the former code answers with its former bindings", async () => {
    const { client, platform, namespaces } = await bench({ hostility: { lateMs: 3_000 } });
    await upload(client, "attic", MACHINE, firstUpload("first"));
    const { call } = await gate(platform);
    expect(await (await call("attic", "/name")).text()).toBe("first");
    await upload(client, "attic", MACHINE, nextUpload("second"));
    expect(await (await call("attic", "/name")).text()).toBe("first");
    const settings = await namespaces.scripts.settings.get("attic", at);
    expect(settings.bindings).toContainEqual({ type: "plain_text", name: "NAME", text: "second" });
    const answer = async () => ((await (await call("attic", "/name")).text()) === "second" ? true : undefined);
    expect(await eventually(answer, "the second version answers")).toBe(true);
  });

  test("that is followed by another, or by the script's removal, leaves nothing behind", async () => {
    const { client, platform, namespaces } = await bench({ hostility: { lateMs: 300 } });
    for (const who of ["one", "two", "three"]) await upload(client, "attic", hello(who));
    const { call } = await gate(platform);
    // The process of the version before is ended when the next one takes effect, and a call with it.
    const said = () =>
      call("attic")
        .then((answer) => answer.text(), String)
        .catch(String);
    await eventually(async () => ((await said()) === "three" ? true : undefined), "the third");
    await upload(client, "attic", hello("four"));
    await namespaces.scripts.delete("attic", at);
    expect(await (await call("attic")).text()).toBe("Worker not found.");
  });
});

describe("the API", () => {
  test("answers with 429 and when to try again; the SDK does, and succeeds", async () => {
    const { platform } = await bench({ hostility: { busyShare: 1 } });
    const path = `${platform.apiUrl}/accounts/local/workers/dispatch/namespaces`;
    const refused = await fetch(path, { headers: { authorization: `Bearer ${TOKEN}` } });
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "1"]);
    const client = sdk(platform.apiUrl, TOKEN).withOptions({ maxRetries: 1 });
    expect((await upload(client, "attic", hello("attic"))).id).toBe("attic");
  });

  test("loses the reply to a change that it has made, so that its repetition meets what the first has done", async () => {
    const { client, namespaces, platform } = await bench({ hostility: { lostShare: 1 } });
    await expect(upload(client, "attic", MACHINE, firstUpload("attic"))).rejects.toThrow(/[Cc]onnection/);
    expect((await namespaces.scripts.get("attic", at)).script?.id).toBe("attic");
    const again = await upload(client, "attic", MACHINE, firstUpload("attic")).catch((reason: unknown) => reason);
    expect(again instanceof APIError && again.errors[0]?.code).toBe(10079);
    expect(platform.directory.get(NAMESPACE).scripts()).toHaveLength(1);
  });

  test("does the same again with the same seed, whatever else is asked meanwhile", async () => {
    const refused = async (seed: number, names: string[]): Promise<string[]> => {
      const { client } = await bench({ hostility: { seed, busyShare: 0.5 } });
      const asked = await Promise.all(
        names.map(async (name) => {
          const path = `/accounts/local/workers/dispatch/namespaces/${name}`;
          const status = await client.get(path).catch((reason: unknown) => reason);
          return status instanceof APIError && status.status === 429 ? [name] : [];
        }),
      );
      return asked.flat().toSorted();
    };
    const names = Array.from({ length: 24 }, (_, index) => `namespace-${index}`);
    const first = await refused(7, names);
    expect(await refused(7, names.toReversed())).toEqual(first);
    expect(await refused(8, names)).not.toEqual(first);
  });
});

describe("a script", () => {
  test("is restarted in a moment without a call: memory is gone, storage stays, no call is lost", async () => {
    const { client, platform } = await bench({ hostility: { restartShare: 1, restartMs: 10 } });
    // Before the upload: the restart may be over by the time that a gate has started.
    const { call } = await gate(platform);
    await upload(client, "attic", MACHINE, firstUpload("attic"));
    const script = platform.directory.get(NAMESPACE).script("attic");
    const first = script.pid;
    expect(await (await call("attic", "/count")).text()).toBe("1");
    await eventually(() => (script.pid !== null && script.pid !== first ? true : undefined), "a restart");
    expect(await (await call("attic", "/count")).text()).toBe("2");
  });

  test.each(["text/event-stream", "application/json"])(
    "with a call open is not restarted before its end (%s)",
    async (type) => {
      const { client, platform } = await bench({ hostility: {} });
      const stream = `let isOver = false;
      export default { fetch: ({ url }) => {
        if (new URL(url).pathname === "/end") return new Response(String(isOver = true));
        return new Response(new ReadableStream({
          async start(controller) { while (!isOver) await scheduler.wait(20); controller.close(); },
        }), { headers: { "content-type": "${type}" } });
      } };`;
      await upload(client, "attic", stream);
      const script = platform.directory.get(NAMESPACE).script("attic");
      const { call } = await gate(platform);
      const answer = await call("attic");
      // Longer than a script counts as in use after an answer without a body.
      for (const end = Date.now() + 2_500; Date.now() < end; await sleep(100))
        expect(await script.restartIfIdle()).toBe(false);
      await call("attic", "/end");
      await answer.text();
      await eventually(async () => ((await script.restartIfIdle()) ? true : undefined), "its restart");
    },
  );

  test("is not stopped in the middle of a call by an upload that is repeated because its reply was lost", async () => {
    const { client, platform } = await bench({ hostility: { lostShare: 1, lateMs: 1_000 } });
    const { call } = await gate(platform);
    const script = `export default { async fetch() { await scheduler.wait(1_200); return new Response("whole"); } };`;
    await upload(client, "attic", script).catch(() => undefined);
    const first = platform.directory.get(NAMESPACE).script("attic");
    const { pid } = first;
    await upload(client, "attic", script);
    // A call without a body would be made again.
    expect(await (await call("attic", "/", { method: "POST", body: "x" })).text()).toBe("whole");
    await eventually(() => (first.pid !== null && first.pid !== pid ? true : undefined), "its restart after the call");
  });

  test("with too large a heap ends", async () => {
    const hog = `export default { fetch() {
      const all = []; for (let n = 0; n < 1_500_000; n += 1) all.push({ n, text: "x" + n });
      return new Response(String(all.length));
    } };`;
    const answers = await Promise.all(
      [24, 1_024].map(async (heapMb) => {
        const { client, platform } = await bench({ hostility: { heapMb } });
        await upload(client, "attic", hog);
        return (await (await gate(platform)).call("attic")).status;
      }),
    );
    expect(answers).toEqual([500, 200]);
  });
});

test("chances of one name do not depend on those of another", () => {
  const [one, other] = [new Chances(5), new Chances(5)];
  other.of("late", "cellar").next();
  expect(one.of("late", "attic").next()).toBe(other.of("late", "attic").next());
  expect(one.of("late", "attic").next()).not.toBe(new Chances(5).of("late", "attic").next());
});

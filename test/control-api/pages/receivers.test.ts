import { runInDurableObject } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { asked } from "../inbox/support/asking.ts";
import { env } from "../support/operator.ts";
import { Receiver } from "../support/receiver.ts";
import { csrfIn, directory, offeredIn } from "../sign-in/support/visitor.ts";
import { pageOf, type Somebody, somebody, textOf } from "./support/person.ts";

const PATH = "/notifications/receivers";

async function post(one: Somebody, path: string, fields: Record<string, string> = {}): Promise<Response> {
  const page = await pageOf(one, "/notifications");
  const { machine } = fields;
  const chosen = machine === undefined ? {} : { machine: offeredIn(page, machine) };
  return one.browser.post(path, { csrf: csrfIn(page), ...fields, ...chosen });
}

function idIn(page: string): string {
  return /receivers\/(hook_[\w-]+)\/test/.exec(page)?.[1] ?? "";
}

describe("receivers on the notifications page", () => {
  test("are added with what they are told of, tried out, shown with their last delivery, and removed", async () => {
    const one = await somebody();
    await one.user.machine("attic");
    const receiver = new Receiver();
    const url = `${receiver.url}/my-topic`;
    const added = await post(one, PATH, { kind: "webhook", url, "tell-failed": "yes", machine: "attic" });
    const page = await added.text();
    expect(added.status, page).toBe(200);
    const secret = /whsec_[\w+/=]+/.exec(page)?.[0] ?? "";
    expect(secret).not.toBe("");
    const list = await pageOf(one, "/notifications");
    expect(list).not.toContain(secret);
    expect(textOf(list)).toMatch(/webhook, a session failed, on attic Nothing sent yet/);
    expect(await (await post(one, `${PATH}/${idIn(list)}/test`)).text()).toContain("took the test message");
    expect((await receiver.received(1))[0]?.headers["webhook-signature"]).toMatch(/^v1,/);
    expect(textOf(await pageOf(one, "/notifications"))).toContain("Delivered");
    const gone = await post(one, `${PATH}/${idIn(list)}/remove`);
    expect([gone.status, gone.headers.get("location")]).toEqual([303, "/notifications#receivers"]);
    expect(idIn(await pageOf(one, "/notifications"))).toBe("");
  });

  test("that are limited to a computer which lost its name are shown as paused, with what to do", async () => {
    const one = await somebody();
    await one.user.machine("attic");
    await post(one, PATH, { kind: "ntfy", url: "https://ntfy.example/my-topic", all: "yes", machine: "attic" });
    await one.user.register("attic", { identity: "identity-of-another", replace: true });
    const page = textOf(await pageOf(one, "/notifications"));
    expect(page).toMatch(/on attic Paused Another computer is called attic now.*remove this and add it again/);
    await one.user.rest("DELETE", "/api/machines/attic");
    const after = textOf(await pageOf(one, "/notifications"));
    expect(after).toMatch(
      /on attic Paused The computer that was called attic was removed. This goes on when it is back/,
    );
  });

  test("cannot be limited to a machine of which nobody knows which computer it is", async () => {
    const one = await somebody();
    await one.user.machine("attic");
    // As in a list of machines that was rebuilt from scripts older than 0.2.
    await runInDurableObject(env.USER.getByName(one.user.id), (_, { storage }) => void storage.sql.exec("UPDATE machine SET identity = ''")); // prettier-ignore
    const refused = await post(one, PATH, { kind: "webhook", url: new Receiver().url, all: "yes", machine: "attic" });
    expect([refused.status, textOf(await refused.text())]).toEqual([400, expect.stringContaining("codez setup")]);
  });

  test("that do not take what they are sent are shown with the reason", async () => {
    const one = await somebody();
    await one.user.machine("attic");
    const receiver = new Receiver();
    await receiver.plan({ status: 500 });
    await post(one, PATH, { kind: "ntfy", url: `${receiver.url}/my-topic`, all: "yes" });
    const id = idIn(await pageOf(one, "/notifications"));
    const tried = await post(one, `${PATH}/${id}/test`);
    expect([tried.status, textOf(await tried.text())]).toEqual([502, expect.stringContaining("it failed (HTTP 5xx)")]);
    await one.user.logs("attic", [asked("r-1")]);
    await receiver.received(2);
    // The fault is written down after the receiver has answered.
    const page = async () => textOf(await pageOf(one, "/notifications"));
    await expect.poll(page).toMatch(/ntfy, everything.*Failing since.*HTTP 5xx/);
  });

  test.each([
    ["an address that is no topic's", { kind: "ntfy", url: "https://ntfy.sh/", all: "yes" }, "ends with its name"],
    ["an address inside the network", { kind: "webhook", url: "https://10.0.0.1/x", all: "yes" }, "not a public host"],
    ["nothing to be told of", { kind: "webhook", url: "https://example.com/x" }, "at least one thing"],
    [
      "a machine that is none",
      { kind: "webhook", url: "https://example.com/x", all: "yes", machine: "m" },
      "no such machine",
    ],
  ])("are not added with %s, and what was typed is kept", async (_, fields, says) => {
    const one = await somebody();
    const refused = await post(one, PATH, fields);
    const page = await refused.text();
    expect([refused.status, textOf(page)]).toEqual([400, expect.stringContaining(says)]);
    expect(page).toContain(`value="${fields.url}"`);
    expect(idIn(await pageOf(one, "/notifications"))).toBe("");
  });

  test("that are refused are told beside the form, which keeps what was chosen", async () => {
    const one = await somebody();
    await one.user.machine("attic");
    const fields = { kind: "webhook", url: "https://10.0.0.1/x", "tell-presence": "yes", machine: "attic" };
    const page = await (await post(one, PATH, fields)).text();
    expect(page.indexOf("not a public host")).toBeGreaterThan(page.indexOf('id="added"'));
    const ticked = [...page.matchAll(/<input([^>]*)checked/g)].map(
      ([, input = ""]) => /name="([^"]*)"/.exec(input)?.[1],
    );
    expect(ticked).toEqual(["kind", "tell-presence"]);
    expect(page).toMatch(/<option value="attic:[^"]*" selected[^>]*>attic</);
  });

  test("are added only after a recent sign-in, with the form's token, and are nobody else's", async () => {
    const [one, other] = [await somebody(), await somebody()];
    const receiver = new Receiver();
    const fields = { kind: "webhook", url: receiver.url, all: "yes" };
    expect((await one.browser.post(PATH, { ...fields, csrf: "" })).status).toBe(403);
    await post(one, PATH, fields);
    const id = idIn(await pageOf(one, "/notifications"));
    expect((await post(other, `${PATH}/${id}/test`)).status).toBe(404);
    await post(other, `${PATH}/${id}/remove`);
    expect(idIn(await pageOf(one, "/notifications"))).toBe(id);
    expect(await receiver.received(0)).toEqual([]);
    await runInDurableObject(directory(), (_, { storage }) => {
      storage.sql.exec("UPDATE session SET proved_ms = proved_ms - 900001 WHERE person = ?", one.user.id);
    });
    const late = await post(one, PATH, fields);
    const confirm = "/sign-in/confirm?next=%2Fnotifications%23add";
    expect([late.status, late.headers.get("location")]).toEqual([303, confirm]);
    // So nobody fills in a form that would be refused.
    const page = await pageOf(one, "/notifications");
    expect(page).toContain(`href="${confirm}"`);
    expect(page).not.toContain('name="url"');
  });
});

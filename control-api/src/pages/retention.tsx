import { Hono } from "hono";
import { messageOf, type OperatorError } from "#protocol/error.ts";
import { note } from "../audit/note.ts";
import { personPage } from "../sign-in/person-page.ts";
import { RETENTION_RULE, Retention, type RetentionEffect } from "../history/retention.ts";
import { formIn } from "../sign-in/form.ts";
import type { PageApp, PageContext } from "../sign-in/page-context.ts";
import { bearerOf, formToken } from "../sign-in/session.ts";
import { registryOf } from "../user/user-rpc.ts";
import { RetentionPage } from "./retention-page.tsx";

/** `/retention`: for how long, and how many of, a person's events are kept. A choice that deletes something is asked about first. */
export const retention = new Hono<PageApp>();

retention.get("/", (c) => page(c, {}));

retention.post("/", async (c) => {
  const { person } = c.var.session;
  const form = await formIn(c);
  const chosen = Retention.safeParse({ days: numberIn(form, "days"), events: numberIn(form, "events") });
  if (!chosen.success) return page(c, { said: { kind: "bad", text: problem() } }, 400);
  const registry = registryOf(c.env, person.id);
  const effect: RetentionEffect = await registry.retentionEffect(chosen.data);
  if (effect.deletes > 0 && form.get("sure") !== "yes") return page(c, { asked: { ...chosen.data, ...effect } });
  const error: OperatorError | null = await registry.retain(chosen.data, bearerOf(c.var.session));
  if (error !== null) return page(c, { said: { kind: "bad", text: messageOf(error) } }, 409);
  const { days, events } = chosen.data;
  note(c.env, person.id, {
    kind: "machine_changed",
    client: "account page",
    subject: `events are kept for ${days} days, at most ${events}`,
  });
  const deleted = effect.deletes === 0 ? "Nothing was deleted." : `${effect.deletes} events were deleted.`;
  return page(c, { said: { kind: "good", text: `Saved. ${deleted}` } });
});

type Shown = Pick<Parameters<typeof RetentionPage>[0], "said" | "asked">;

async function page(c: PageContext, shown: Shown, status: 200 | 400 | 409 = 200): Promise<Response> {
  const { session } = c.var;
  const registry = registryOf(c.env, session.person.id);
  const now: Retention = await registry.retention();
  const { stored }: RetentionEffect = await registry.retentionEffect(now);
  const body = <RetentionPage now={now} stored={stored} csrf={await formToken(session)} {...shown} />;
  return personPage(c, { title: "Kept events", at: "account", status }, body);
}

/** `NaN`, which no choice may be, for a field that is empty or no number. */
function numberIn(form: FormData, name: string): number {
  const text = String(form.get(name) ?? "").trim();
  return text === "" ? Number.NaN : Number(text);
}

/** The rule of the REST API, without its first words, which are about a request. */
function problem(): string {
  return `Nothing was changed. ${RETENTION_RULE.replace(/^[^:]*: /, "Enter ")}`;
}

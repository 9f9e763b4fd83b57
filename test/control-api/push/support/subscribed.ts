import { fromBase64 } from "#protocol/bytes.ts";
import type { ReceivedMessage } from "../../../support/stand-in/receivers.ts";
import { pageOf, type Somebody, somebody } from "../../pages/support/person.ts";
import { csrfIn, offeredIn } from "../../sign-in/support/visitor.ts";
import { Receiver } from "../../support/receiver.ts";
import { TestBrowserPush } from "../../../support/push-service.ts";

export type Shown = { title: string; body: string; tag: string; path: string };

/** Somebody with a machine whose browser gets notifications, and the push service that gets them. */
export class Subscribed {
  readonly person: Somebody;
  readonly service: Receiver;
  readonly push: TestBrowserPush;
  readonly id: string;

  static async make(person?: Somebody): Promise<Subscribed> {
    const one = person ?? (await somebody());
    if (person === undefined) {
      await one.user.machine("attic");
      await one.user.logs("attic", []);
    }
    const service = new Receiver();
    const push = await TestBrowserPush.make(service.url);
    const response = await subscribe(one, push);
    if (response.status !== 200) throw new Error(await response.text());
    const id = /action="\/notifications\/(push_[0-9a-f]+)"/.exec(await pageOf(one, "/notifications"))?.[1] ?? "";
    return new Subscribed(one, service, push, id);
  }

  private constructor(person: Somebody, service: Receiver, push: TestBrowserPush, id: string) {
    this.person = person;
    this.service = service;
    this.push = push;
    this.id = id;
  }

  /** What the browser is told, as soon as there are so many. */
  async shown(atLeast: number): Promise<Shown[]> {
    return Promise.all((await this.service.received(atLeast)).map((message) => this.open(message)));
  }

  async open({ body }: ReceivedMessage): Promise<Shown> {
    return JSON.parse(await this.push.decrypt(fromBase64(body)));
  }

  /** Sends the settings form, with these fields. `machine` is the name of the one that is ticked. */
  async choose(fields: Record<string, string>): Promise<Response> {
    return this.send(await pageOf(this.person, "/notifications"), fields);
  }

  /** The same on a page that was shown before. */
  async send(page: string, { machine, ...fields }: Record<string, string>): Promise<Response> {
    const offered = /name="offered" value="([^"]*)"/.exec(page)?.[1] ?? "";
    const ticked = machine === undefined ? {} : { machine: offeredIn(page, machine) };
    return this.post(`/notifications/${this.id}`, { offered, ...fields, ...ticked });
  }

  async post(path: string, fields: Record<string, string> = {}): Promise<Response> {
    const { browser } = this.person;
    return browser.post(path, { csrf: await browser.csrf("/notifications"), ...fields });
  }
}

export async function subscribe(
  person: Somebody,
  { endpoint, keys }: { endpoint: string; keys: object },
  more: object = {},
  headers: Record<string, string> = {},
): Promise<Response> {
  const csrf = csrfIn(await pageOf(person, "/notifications"));
  return person.browser.postJson("/notifications/browser", { csrf, endpoint, keys, zone: "UTC", ...more }, headers);
}

import { once } from "node:events";
import { type Agent, type ClientRequest, type IncomingMessage, request } from "node:http";
import { request as requestSecurely } from "node:https";

/** A header may be given twice: as a list, it is sent as it stands, names, order and all. */
export type Sent = {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>> | readonly string[];
  readonly body?: string | Uint8Array;
  /** The request target as it goes on the wire; the URL's own otherwise, which the parser has made neat. */
  readonly target?: string;
  /** The address of this computer that it comes from. */
  readonly from?: string;
  /** Keeps connections for the next request; without one, each has its own. */
  readonly agent?: Agent;
};

export type Answer = {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  /** Every value of a header, in order. */
  readonly all: (name: string) => string[];
  readonly body: Buffer;
  readonly text: string;
};

/** Headers of every request of the tests, unless it has them of its own. An edge refuses clients that do not name themselves. */
export const everyRequest: Record<string, string> = { "user-agent": "operator-tests" };

/** Opens a request as a client that hides nothing from the test: no redirect, no decoding, no retry. */
export function open(url: URL, { method = "POST", headers = {}, target, from, agent }: Sent = {}): ClientRequest {
  const own = Object.entries(everyRequest).filter(([name]) => !namesIn(headers).includes(name));
  return (url.protocol === "https:" ? requestSecurely : request)({
    host: "127.0.0.1",
    servername: url.hostname,
    port: url.port,
    method,
    path: target ?? url.pathname + url.search,
    headers: Array.isArray(headers)
      ? ["host", url.host, ...own.flat(), ...headers]
      : { host: url.host, ...Object.fromEntries(own), ...headers },
    agent: agent ?? false,
    ...(from === undefined ? {} : { localAddress: from }),
  });
}

function namesIn(headers: NonNullable<Sent["headers"]>): string[] {
  const names = Array.isArray(headers) ? headers.filter((_, index) => index % 2 === 0) : Object.keys(headers);
  return names.map((name: string) => name.toLowerCase());
}

/** The head of the answer; the body is yet to be read. */
export async function headOf(outgoing: ClientRequest): Promise<IncomingMessage> {
  const [response]: IncomingMessage[] = await once(outgoing, "response");
  if (response === undefined) throw new Error("a response event without a response");
  return response;
}

/** One request and its whole answer. @param heard is called with each piece of it as it arrives */
export async function send(url: URL, sent: Sent = {}, heard?: (piece: Buffer) => void): Promise<Answer> {
  const outgoing = open(url, sent);
  const head = headOf(outgoing);
  outgoing.end(sent.body);
  return answerOf(await head, heard);
}

export async function answerOf(response: IncomingMessage, heard?: (piece: Buffer) => void): Promise<Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) {
    chunks.push(chunk);
    heard?.(chunk);
  }
  const body = Buffer.concat(chunks);
  const all = (name: string): string[] => response.headersDistinct[name] ?? [];
  return { status: response.statusCode ?? 0, headers: response.headers, all, body, text: body.toString() };
}

/** What tells that a call has arrived at its server. @throws an error with the call's answer, if it was answered on its way there */
export async function arrivalOf<Arrived>(arrived: Promise<Arrived>, call: ClientRequest): Promise<Arrived> {
  let hasArrived = false;
  const refused = headOf(call).then(async (head): Promise<Arrived> => {
    if (hasArrived) return arrived; // the head is that of the server's own answer, which is for the test to read
    const { status, text } = await answerOf(head);
    throw new Error(`the call was answered with ${status} before it arrived: ${text}`);
  });
  return Promise.race([arrived.finally(() => (hasArrived = true)), refused]);
}

/** Reads a body piece by piece, so that a test can say when it wants more. */
export class Pieces {
  readonly #chunks: AsyncIterator<Buffer>;
  #text = "";

  constructor(response: IncomingMessage) {
    this.#chunks = response[Symbol.asyncIterator]();
  }

  /** Reads until the text so far has `part`; answers that text, which is then forgotten. Throws at the end of the body. */
  async until(part: string): Promise<string> {
    while (!this.#text.includes(part)) {
      const { done, value } = await this.#chunks.next();
      if (done) throw new Error(`the body ended without ${part}: ${this.#text}`);
      this.#text += value.toString();
    }
    const text = this.#text;
    this.#text = "";
    return text;
  }

  /** The rest of the body. */
  async rest(): Promise<string> {
    for (let one = await this.#chunks.next(); !one.done; one = await this.#chunks.next())
      this.#text += one.value.toString();
    return this.#text;
  }
}

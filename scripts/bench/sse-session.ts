import { get, type Agent } from "node:http";
import { post, type RpcAnswer, type RpcRequest } from "./load.ts";

export type SseSession = { ask: (agent: Agent, request: RpcRequest) => Promise<RpcAnswer>; close(): void };

/**
 * A client session of the transport before Streamable HTTP (MCP 2024-11-05, "HTTP with SSE"): one event stream, whose
 * first event is the address to post to, and on which every answer comes.
 */
export async function openSse(url: string): Promise<SseSession> {
  const waiting = new Map<number, (answer: RpcAnswer) => void>();
  const stream = get(url, { headers: { accept: "text/event-stream" } });
  const endpoint = await new Promise<string>((resolve, reject) => {
    stream.on("error", reject).on("response", (response) => {
      if (response.statusCode !== 200) return void stream.destroy(new Error(`HTTP ${response.statusCode} at ${url}`));
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
        const events = text.split("\n\n");
        text = events.pop() ?? "";
        for (const event of events) {
          const data = /^data: ?(.*)$/m.exec(event)?.[1] ?? "";
          if (event.startsWith("event: endpoint")) resolve(new URL(data, url).href);
          else receive(JSON.parse(data) as RpcAnswer);
        }
      });
      return undefined;
    });
  });
  const receive = (answer: RpcAnswer): void => {
    waiting.get(answer.id ?? -1)?.(answer);
    waiting.delete(answer.id ?? -1);
  };
  const send = async (agent: Agent, message: object): Promise<void> => {
    const accepted = await post(agent, { url: endpoint }, message);
    accepted.resume();
    if (accepted.statusCode !== 202) throw new Error(`HTTP ${accepted.statusCode} at ${endpoint}`);
  };
  return {
    async ask(agent, request) {
      const { promise, resolve } = Promise.withResolvers<RpcAnswer>();
      waiting.set(request.id, resolve);
      await send(agent, request);
      return promise;
    },
    close: () => void stream.destroy(),
  };
}

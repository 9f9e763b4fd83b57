import { Agent, request } from "node:http";
import { WebSocket } from "ws";

/** The machine's side of the bare relay: a WebSocket, and a request to the server for each message. */
const [relay = "", server = ""] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true });
const socket = new WebSocket(relay, { perMessageDeflate: false });
socket.on("open", () => process.send?.({ ready: true }));
socket.on("message", (data) => {
  const message = data.toString();
  const at = message.search(/[ +]/);
  const id = message.slice(0, at);
  const streams = message[at] === "+";
  const outgoing = request(
    server,
    { method: "POST", agent, headers: { "content-type": "application/json" } },
    (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => {
        if (streams) socket.send(`${id}+${chunk.toString()}`);
        else chunks.push(chunk);
      });
      response.on("end", () => socket.send(`${id} ${Buffer.concat(chunks).toString()}`));
    },
  );
  outgoing.end(message.slice(at + 1));
});
process.on("disconnect", () => process.exit());

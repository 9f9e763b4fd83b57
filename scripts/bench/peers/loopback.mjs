import { Server } from "node:net";

// Loaded into a peer before its own code. The benchmark is this computer's own business: what would listen on every
// address listens on loopback, and a peer that asks the Internet for its catalogue when it starts is told no.
const listen = Server.prototype.listen;
Server.prototype.listen = function onLoopback(port, ...rest) {
  return typeof port === "number" && typeof rest[0] !== "string"
    ? listen.call(this, port, "127.0.0.1", ...rest)
    : listen.call(this, port, ...rest);
};

const ask = globalThis.fetch;
globalThis.fetch = async (input, init) => {
  const { hostname } = new URL(input instanceof Request ? input.url : input);
  if (hostname !== "127.0.0.1") throw new TypeError(`${hostname} is not this computer`);
  return ask(input, init);
};

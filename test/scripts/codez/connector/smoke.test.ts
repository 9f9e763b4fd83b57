import { expect, it } from "vitest";
import { bodyOf } from "./http-server.ts";
import { connectHttp } from "./connected.ts";

it("relays", async () => {
  await using connected = await connectHttp(async (request, response) => {
    const body = await bodyOf(request);
    response.setHeader("content-length", body.length);
    response.end(body);
  });
  const answer = await connected.link.call({}, "hello");
  expect(answer).toMatchObject({ status: 200, text: "hello", frames: 1 });
});

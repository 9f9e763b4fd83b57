// Root cause: a start on one computer let the control API's own requests go anywhere, so that a client's document (CIMD), whose
// address a stranger chooses, could be one that only this computer reaches.
import { createServer, type AddressInfo, type Server } from "node:net";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { TestOperator } from "../../end-to-end/support/operator.ts";

let operator: TestOperator;
beforeAll(async () => {
  operator = await TestOperator.start();
});
afterAll(() => operator[Symbol.asyncDispose]());

test.each(["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0.0.0.0", "127.1"])(
  "Operator does not fetch a client's document at %s from this computer",
  async (host) => {
    let connections = 0;
    const server: Server = createServer((socket) => {
      connections += 1;
      socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    for (const scheme of ["https", "http"]) {
      const id = `${scheme}://${host}:${port}/client.json`;
      const asked = {
        response_type: "code",
        client_id: id,
        redirect_uri: `${scheme}://${host}:${port}/callback`,
        code_challenge: "x".repeat(43),
        code_challenge_method: "S256",
      };
      const page = await operator.request(`/oauth/authorize?${new URLSearchParams(asked)}`, { redirect: "manual" });
      expect(page.status).toBe(400);
      const body = new URLSearchParams({ client_id: id });
      const device = await operator.request("/oauth/device_authorization", { method: "POST", body });
      expect([400, 401, 503]).toContain(device.status);
      await operator.request("/oauth/token", {
        method: "POST",
        body: new URLSearchParams({ client_id: id, grant_type: "refresh_token", refresh_token: "a:b:c" }),
      });
    }
    expect(connections).toBe(0);
  },
);

test("Operator's own parts on this computer still reach each other: machines are added and answer", async () => {
  const { status } = await operator.api("POST", "/api/machines", { name: "attic", identity: "identity-of-attic" });
  expect(status).toBe(201);
  const { body } = await operator.api("GET", "/api/machines/attic");
  expect(body).toMatchObject({ name: "attic", status: "never_connected" });
});

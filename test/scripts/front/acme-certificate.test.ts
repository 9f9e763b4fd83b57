import { once } from "node:events";
import { statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { globalAgent } from "node:https";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { AcmeCertificate } from "../../../scripts/front/acme-certificate.ts";
import { type Certificate, covers, endsAtMs } from "../../../scripts/front/certificate.ts";
import { Challenges } from "../../../scripts/front/challenges.ts";
import { testFolder, until } from "./support/certificates.ts";
import { HAS_PEBBLE, Pebble } from "./support/pebble.ts";

const HOSTS = ["operator.example.com"];

async function authority() {
  const challenges = await Challenges.start("127.0.0.1", 0, "https://operator.example.com", () => undefined);
  onTestFinished(() => challenges[Symbol.asyncDispose]());
  const pebble = await Pebble.start(challenges.port);
  globalAgent.options.ca = pebble.trust;
  onTestFinished(() => void delete globalAgent.options.ca);
  const words: string[] = [];
  const folder = join(testFolder(), "tls");
  const options = {
    email: "owner@example.com",
    hosts: HOSTS,
    folder,
    challenges,
    directoryUrl: pebble.directoryUrl,
    log: (line: string) => void words.push(line),
  };
  const start = async (more: { hosts?: string[]; now?: () => number } = {}): Promise<AcmeCertificate> => {
    const source = await AcmeCertificate.start({ ...options, ...more });
    onTestFinished(() => source[Symbol.asyncDispose]());
    return source;
  };
  return { start, folder, words };
}

describe.skipIf(!HAS_PEBBLE)("a certificate by ACME", () => {
  it("is obtained for the host, stored for its owner only, and used again at the next start", async () => {
    const { start, folder } = await authority();
    const { current } = await start();
    expect(covers(current, HOSTS)).toBe(true);
    expect(statSync(join(folder, "certificate.json")).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, "account.pem")).mode & 0o777).toBe(0o600);
    expect((await start()).current).toEqual(current);
  });

  it("is obtained again for another host, and when the stored one is damaged", async () => {
    const { start, folder } = await authority();
    const { current } = await start();
    const other = (await start({ hosts: ["other.example.com"] })).current;
    expect(covers(other, ["other.example.com"])).toBe(true);
    await writeFile(join(folder, "certificate.json"), '{"cert":');
    expect(covers((await start()).current, HOSTS)).toBe(true);
    expect(current).not.toEqual(other);
  });

  it("is renewed when a third of its lifetime is left, and its user is informed", async () => {
    const { start, words } = await authority();
    const first = await start();
    const soonMs = endsAtMs(first.current) - 60_000;
    const heard: Certificate[] = [];
    const second = await start({ now: () => soonMs });
    second.onRenewed((certificate) => heard.push(certificate));
    await until("it is renewed", () => heard.length > 0);
    expect(second.current).toEqual(heard[0]);
    expect(second.current).not.toEqual(first.current);
    expect(words.join()).toContain("was renewed");
  });
});

it("an unreachable certificate authority is named at the start", async () => {
  const challenges = await Challenges.start("127.0.0.1", 0, "https://operator.example.com", () => undefined);
  onTestFinished(() => challenges[Symbol.asyncDispose]());
  const started = AcmeCertificate.start({
    email: "owner@example.com",
    hosts: HOSTS,
    folder: testFolder(),
    challenges,
    directoryUrl: "https://127.0.0.1:1/dir",
    log: () => undefined,
  });
  await expect(started).rejects.toThrow("127.0.0.1:1");
});

it("the port for challenges redirects everybody else to https, whatever host they asked for", async () => {
  const challenges = await Challenges.start("127.0.0.1", 0, "https://operator.example.com", () => undefined);
  onTestFinished(() => challenges[Symbol.asyncDispose]());
  challenges.expect("token", "answer");
  const ask = (path: string) =>
    fetch(`http://127.0.0.1:${challenges.port}${path}`, { redirect: "manual", headers: { host: "evil.test" } });
  expect(await (await ask("/.well-known/acme-challenge/token")).text()).toBe("answer");
  for (const path of ["/", "/.well-known/acme-challenge/other", "//evil.test/x", "/mcp?a=1"]) {
    const response = await ask(path);
    expect([response.status, response.headers.get("location")]).toEqual([308, `https://operator.example.com${path}`]);
  }
  // What is asked of a proxy would become a part of the host.
  const asking = request({ port: challenges.port, host: "127.0.0.1", path: "http://evil.test/" }).end();
  const [response] = (await once(asking, "response")) as [IncomingMessage];
  expect(response.headers.location).toBe("https://operator.example.com");
  response.resume();
});

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { request } from "node:https";
import { onTestFinished } from "vitest";
import { newCertificate, testFolder, until } from "./certificates.ts";
import { unusedPort } from "../../../support/unused-port.ts";

export const HAS_PEBBLE = existsSync("/usr/bin/pebble");

/** Let's Encrypt's own test authority, with a DNS of its own in which every name is this computer. */
export class Pebble {
  readonly directoryUrl: string;
  /** The authority's own certificate, for clients of its API. */
  readonly trust: string;

  /** @param challengePort where it asks for challenges, in place of port 80 */
  static async start(challengePort: number): Promise<Pebble> {
    const folder = testFolder();
    const { cert, key } = newCertificate();
    const [port, management, dns, dnsApi] = [
      await unusedPort(),
      await unusedPort(),
      await unusedPort(),
      await unusedPort(),
    ];
    await writeFile(join(folder, "cert.pem"), cert);
    await writeFile(join(folder, "key.pem"), key);
    await writeFile(
      join(folder, "config.json"),
      JSON.stringify({
        pebble: {
          listenAddress: `127.0.0.1:${port}`,
          managementListenAddress: `127.0.0.1:${management}`,
          certificate: join(folder, "cert.pem"),
          privateKey: join(folder, "key.pem"),
          httpPort: challengePort,
          tlsPort: challengePort,
          ocspResponderURL: "",
          externalAccountBindingRequired: false,
        },
      }),
    );
    const names = run("pebble-challtestsrv", [
      "-dns01",
      `127.0.0.1:${dns}`,
      "-management",
      `127.0.0.1:${dnsApi}`,
      "-defaultIPv4",
      "127.0.0.1",
      "-defaultIPv6",
      "",
      "-http01",
      "",
      "-https01",
      "",
      "-tlsalpn01",
      "",
    ]);
    const authority = run("pebble", ["-config", join(folder, "config.json"), "-dnsserver", `127.0.0.1:${dns}`], {
      PEBBLE_VA_NOSLEEP: "1",
      // By default it refuses some requests at random, to test that clients repeat them.
      PEBBLE_WFE_NONCEREJECT: "0",
    });
    const pebble = new Pebble(`https://localhost:${port}/dir`, cert);
    await until("pebble is up", () => {
      for (const { exitCode, spawnfile } of [names, authority])
        if (exitCode !== null) throw new Error(`${spawnfile} ended with ${exitCode}`);
      return pebble.#isUp();
    });
    return pebble;
  }

  private constructor(directoryUrl: string, trust: string) {
    this.directoryUrl = directoryUrl;
    this.trust = trust;
  }

  #isUp(): Promise<boolean> {
    return new Promise((resolve) => {
      const asked = request(this.directoryUrl, { ca: this.trust }, (answer) => {
        answer.resume();
        resolve(answer.statusCode === 200);
      });
      asked.on("error", () => resolve(false)); // not yet
      asked.end();
    });
  }
}

function run(program: string, args: readonly string[], env: Record<string, string> = {}): ChildProcess {
  const child = spawn(program, args, { stdio: "ignore", env: { ...process.env, ...env } });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { Certificate } from "../../../../scripts/front/certificate.ts";

/** A new key, and a certificate for `localhost` that it signed itself. */
export function newCertificate(): Certificate {
  const folder = mkdtempSync(join(tmpdir(), "operator-certificate-"));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const kind = ["-days", "2", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
  const name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  execFileSync("openssl", ["req", "-x509", "-keyout", key, "-out", cert, ...kind, ...name], { stdio: "ignore" });
  const made = { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
  rmSync(folder, { recursive: true });
  return made;
}

/** A folder that is gone when the test is. */
export function testFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "operator-front-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Resolves once it is so; the bound is for a run that has gone wrong. */
export async function until(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const limitMs = Date.now() + 90_000;
  while (!(await isTrue())) {
    if (Date.now() > limitMs) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

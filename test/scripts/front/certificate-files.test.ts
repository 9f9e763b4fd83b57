import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import type { Certificate } from "../../../scripts/front/certificate.ts";
import { CertificateFiles } from "../../../scripts/front/certificate-files.ts";
import { newCertificate, testFolder, until } from "./support/certificates.ts";

const LOOK_MS = 20;

function files(first: Certificate) {
  const folder = testFolder();
  const [certFile, keyFile] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  const words: string[] = [];
  /** Renews as certificate tools do: a new file replaces the old one. */
  const put = (file: string, text: string): void => {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  };
  put(certFile, first.cert);
  put(keyFile, first.key);
  const open = (): CertificateFiles => {
    const source = new CertificateFiles({ certFile, keyFile, log: (line) => words.push(line), lookMs: LOOK_MS });
    onTestFinished(() => source[Symbol.asyncDispose]());
    return source;
  };
  return { certFile, keyFile, words, put, open };
}

it("a renewed pair is used only once both files are present", async () => {
  const [first, second] = [newCertificate(), newCertificate()];
  const { certFile, keyFile, words, put, open } = files(first);
  const source = open();
  const heard: Certificate[] = [];
  source.onRenewed((certificate) => heard.push(certificate));
  put(certFile, second.cert);
  await until("the half pair is reported", () => words.some((line) => line.includes("does not match the key")));
  expect([source.current, heard]).toEqual([first, []]);
  put(keyFile, second.key);
  await until("the whole pair is taken", () => heard.length > 0);
  expect([source.current, heard]).toEqual([second, [second]]);
});

it("a damaged renewal keeps the previous certificate in use, and is reported", async () => {
  const first = newCertificate();
  const { certFile, words, put, open } = files(first);
  const source = open();
  put(certFile, "no certificate");
  await until("it is reported", () => words.some((line) => line.includes(certFile) && line.includes("not in PEM")));
  expect(source.current).toEqual(first);
});

it.each([
  ["a file that is not there", "certFile", null],
  ["what is no certificate", "certFile", "no certificate"],
  ["what is no key", "keyFile", "no key"],
  ["another pair's key", "keyFile", newCertificate().key],
] as const)("a start with %s fails and names the file", (_, which, text) => {
  const pair = files(newCertificate());
  if (text === null) renameSync(pair.certFile, `${pair.certFile}.gone`);
  else pair.put(pair[which], text);
  expect(pair.open).toThrow(pair[which]);
});

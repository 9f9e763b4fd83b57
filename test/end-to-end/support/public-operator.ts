import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { unusedPort } from "../../support/unused-port.ts";
import { everyRequest } from "./http.ts";
import { namesOfThisComputer } from "./localhost.ts";
import { TestOperator } from "./operator.ts";

const HOST = "operator.example.com";

/**
 * An Operator as `npm start -- --public-url` opens it: callers come in by TLS, through the front, under a name of its own. Every request
 * that the test makes shows a token of its owner's, and trusts its certificate.
 */
export async function startPublicOperator(): Promise<TestOperator> {
  const operator = await TestOperator.start();
  const token = await operator.token();
  await operator.stop();
  const trustedBefore = getCACertificates("default");
  const { certFile, keyFile } = makeCertificate(operator.folder);
  const port = await unusedPort();
  const origin = `https://${HOST}:${port}`;
  namesOfThisComputer.add(HOST);
  setDefaultCACertificates([...trustedBefore, readFileSync(certFile, "utf8")]);
  operator.open({
    kind: "public",
    origin,
    host: "127.0.0.1",
    port,
    tls: { kind: "files", certFile, keyFile },
    folder: join(operator.folder, "tls"),
  });
  operator.reachedAt(origin);
  operator.signedInWith(token);
  everyRequest["authorization"] = `Bearer ${token}`;
  operator.own({
    [Symbol.asyncDispose]: async () => {
      delete everyRequest["authorization"];
      setDefaultCACertificates(trustedBefore);
      namesOfThisComputer.delete(HOST);
    },
  });
  await operator.start();
  return operator;
}

/** A certificate for the name and each machine's, which signed itself. */
function makeCertificate(folder: string): { certFile: string; keyFile: string } {
  const [certFile, keyFile] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  const kind = ["-days", "2", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
  const names = ["-subj", `/CN=${HOST}`, "-addext", `subjectAltName=DNS:${HOST},DNS:*.${HOST}`];
  execFileSync("openssl", ["req", "-x509", "-keyout", keyFile, "-out", certFile, ...kind, ...names], {
    stdio: "ignore",
  });
  return { certFile, keyFile };
}

import { createHash } from "node:crypto";
import type { Package } from "./lock-file.ts";

/** What an SBOM describes: `operator` as it is installed, or `codez` as it is shipped. */
export type Subject = { readonly name: string; readonly version: string };

/**
 * A software bill of materials in CycloneDX 1.6 (ECMA-424). The same packages always give the same bytes: there is no time in it,
 * and its serial number is a hash of its content, so that a build can be repeated and compared.
 */
export function cycloneDx(subject: Subject, packages: readonly Package[]): object {
  const unique = new Map(packages.map((one) => [purlOf(one), one]));
  const components = [...unique]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([purl, one]) => component(purl, one));
  const metadata = {
    component: { type: "application", name: subject.name, version: subject.version, licenses: licensesOf("MIT") },
  };
  const digest = createHash("sha256")
    .update(JSON.stringify([metadata, components]))
    .digest("hex");
  return {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    serialNumber: `urn:uuid:${uuidOf(digest)}`,
    version: 1,
    metadata,
    components,
  };
}

function component(purl: string, { name, version, license, integrity }: Package): object {
  return {
    type: "library",
    "bom-ref": purl,
    name,
    version,
    purl,
    ...(license === null ? {} : { licenses: licensesOf(license) }),
    ...(integrity === null ? {} : { hashes: hashesOf(integrity) }),
  };
}

/** A package URL: `pkg:npm/%40scope/name@1.0.0` (purl specification, type npm). */
function purlOf({ name, version }: Package): string {
  return `pkg:npm/${name.split("/").map(encodeURIComponent).join("/")}@${encodeURIComponent(version)}`;
}

function licensesOf(license: string): object[] {
  return [/ (?:OR|AND|WITH) /.test(license) ? { expression: license } : { license: { id: license } }];
}

/** npm's `sha512-<Base64>` as CycloneDX wants it. */
function hashesOf(integrity: string): object[] {
  return integrity.split(" ").flatMap((one) => {
    const [, bits, base64] = /^sha(1|256|384|512)-(.+)$/.exec(one) ?? [];
    return base64 === undefined ? [] : [{ alg: `SHA-${bits}`, content: Buffer.from(base64, "base64").toString("hex") }];
  });
}

/** A UUID made of a hash (RFC 9562, version 8). */
function uuidOf(hex: string): string {
  const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 0x3) | 0x8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join("-");
}

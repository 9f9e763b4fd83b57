import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { codezPackages } from "../../../scripts/build/codez.ts";
import { concerns } from "../../../scripts/dependencies/advisory.ts";
import { lookUp } from "../../../scripts/dependencies/audit.ts";
import { cycloneDx } from "../../../scripts/dependencies/cyclonedx.ts";
import { refusedLicences } from "../../../scripts/dependencies/licence-policy.ts";
import { type Package, packagesOf } from "../../../scripts/dependencies/lock-file.ts";
import { isOlderVersion } from "../../../scripts/dependencies/version-order.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const LOCK_FILE = join(ROOT, "package-lock.json");

function package_(name: string, version: string, license: string | null = "MIT"): Package {
  return { folder: `node_modules/${name}`, name, version, license, integrity: null, isDev: false };
}

describe("licences", () => {
  it("of packages in codez.tgz require only to be passed on", async () => {
    const shipped = await codezPackages();
    expect(shipped.length).toBeGreaterThan(5);
    expect(refusedLicences(shipped, "shipped")).toEqual([]);
  });

  it("of packages installed with an Operator are on the list, and so are those of the tools", async () => {
    const packages = await packagesOf(LOCK_FILE);
    expect(packages.length).toBeGreaterThan(200);
    expect(
      refusedLicences(
        packages.filter(({ isDev }) => !isDev),
        "installed",
      ),
    ).toEqual([]);
    expect(refusedLicences(packages, "tools")).toEqual([]);
  });

  it.each([
    ["GPL-3.0-only", true],
    ["MIT OR GPL-3.0-only", false],
    ["(BSD-3-Clause OR GPL-2.0)", false],
    ["MIT AND GPL-3.0-only", true],
    ["Apache-2.0 AND MIT", false],
    ["MPL-2.0", true],
    ["UNLICENSED", true],
    [null, true],
  ])("refuse %s in codez.tgz: %s", (license, isRefused) => {
    expect(refusedLicences([package_("a", "1.0.0", license)], "shipped").length > 0).toBe(isRefused);
  });
});

describe("the bill of materials", () => {
  it("lists each package once with its hash, licence and package URL, and is the same for the same packages", () => {
    const zod = { ...package_("zod", "4.6.7"), integrity: `sha512-${Buffer.alloc(64, 1).toString("base64")}` };
    const packages = [
      zod,
      package_("@scope/name", "1.0.0", "MIT OR Apache-2.0"),
      { ...zod, folder: "node_modules/a/node_modules/zod" },
    ];
    const bill = cycloneDx({ name: "operator", version: "1" }, packages);
    expect(bill).toMatchObject({
      bomFormat: "CycloneDX",
      specVersion: "1.6",
      serialNumber: expect.stringMatching(
        /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
      ),
      components: [
        { purl: "pkg:npm/%40scope/name@1.0.0", licenses: [{ expression: "MIT OR Apache-2.0" }] },
        {
          purl: "pkg:npm/zod@4.6.7",
          licenses: [{ license: { id: "MIT" } }],
          hashes: [{ alg: "SHA-512", content: "01".repeat(64) }],
        },
      ],
    });
    expect(cycloneDx({ name: "operator", version: "1" }, packages.toReversed())).toEqual(bill);
    expect(cycloneDx({ name: "operator", version: "1" }, [zod])).not.toMatchObject({
      serialNumber: Reflect.get(bill, "serialNumber"),
    });
  });

  it("contains nothing about the machine on which it was made", async () => {
    expect(JSON.stringify(cycloneDx({ name: "codez", version: "1" }, await codezPackages()))).not.toContain(ROOT);
  });
});

describe("known vulnerabilities", () => {
  const advisory = (events: object[], more: object = {}) => ({
    id: "GHSA-1",
    summary: "bad",
    affected: [{ package: { ecosystem: "npm", name: "left" }, ranges: [{ type: "SEMVER", events }] }],
    ...more,
  });

  it.each([
    [[{ introduced: "0" }, { fixed: "1.2.0" }], "1.1.9", true],
    [[{ introduced: "0" }, { fixed: "1.2.0" }], "1.2.0", false],
    [[{ introduced: "0" }, { fixed: "1.2.0" }], "1.2.0-rc.1", true],
    [[{ introduced: "1.0.0" }, { last_affected: "1.5.0" }], "1.5.0", true],
    [[{ introduced: "1.0.0" }, { last_affected: "1.5.0" }], "1.5.1", false],
    [[{ introduced: "1.0.0" }], "0.9.0", false],
    [[{ introduced: "1.0.0" }, { fixed: "1.1.0" }, { introduced: "2.0.0" }], "1.5.0", false],
    [[{ introduced: "1.0.0" }, { fixed: "1.1.0" }, { introduced: "2.0.0" }], "10.0.0", true],
  ])("%j concern version %s: %s", (events, version, isAffected) => {
    expect(concerns(advisory(events), package_("left", version))).toBe(isAffected);
    expect(concerns(advisory(events), package_("right", version))).toBe(false);
    expect(concerns(advisory(events, { withdrawn: "2026-01-01" }), package_("left", version))).toBe(false);
  });

  it("are looked up without a network, and a folder without advisories counts as no proof", async () => {
    const folder = mkdtempSync(join(tmpdir(), "operator-osv-"));
    const said: string[] = [];
    const spies = (["log", "error"] as const).map((name) =>
      vi.spyOn(console, name).mockImplementation((text: string) => void said.push(text)),
    );
    onTestFinished(() => {
      for (const spy of spies) spy.mockRestore();
      rmSync(folder, { recursive: true });
    });
    const packages = [package_("left", "1.0.0"), package_("right", "1.0.0")];
    expect(await lookUp(folder, packages)).toBe(2);
    expect(said.join("\n")).toContain("NOT CHECKED");
    writeFileSync(join(folder, "a.json"), JSON.stringify(advisory([{ introduced: "0" }, { fixed: "2.0.0" }])));
    writeFileSync(join(folder, "b.json"), "not json");
    expect(await lookUp(folder, packages)).toBe(1);
    expect(said.join("\n")).toMatch(/GHSA-1 {2}left 1\.0\.0/);
    expect(await lookUp(folder, [package_("right", "1.0.0")])).toBe(0);
  });

  it("versions are ordered by Semantic Versioning, section 11", () => {
    const inOrder = [
      "1.0.0-alpha",
      "1.0.0-alpha.1",
      "1.0.0-alpha.beta",
      "1.0.0-beta",
      "1.0.0-beta.2",
      "1.0.0-beta.11",
      "1.0.0-rc.1",
      "1.0.0",
      "1.0.10",
      "1.9.0",
      "1.10.0",
      "2.0.0",
    ];
    for (const [index, one] of inOrder.entries())
      for (const [otherIndex, other] of inOrder.entries())
        expect(isOlderVersion(one, other), `${one} < ${other}`).toBe(index < otherIndex);
    expect(isOlderVersion("1.0.0+a", "1.0.0+b")).toBe(false);
  });
});

it("every action of the workflows is pinned to a commit, with its version beside it", () => {
  const folder = join(ROOT, ".github/workflows");
  const uses = readdirSync(folder).flatMap((file) => readFileSync(join(folder, file), "utf8").match(/uses:.*/g) ?? []);
  expect(uses.length).toBeGreaterThan(0);
  for (const one of uses) expect(one).toMatch(/^uses: [\w.-]+\/[\w./-]+@[0-9a-f]{40} # v\d/);
});

import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { tarball } from "../../../../scripts/build/tarball.ts";
import { unpack } from "../../../../scripts/codez/install/unpack.ts";

const FILES = [0, 1, 511, 512, 513, 5_000].map((bytes) => ({
  path: `package/${bytes}`,
  mode: 0o644,
  content: Buffer.alloc(bytes, "x"),
}));
const ARCHIVE = tarball(FILES);

describe("an archive", () => {
  it("is unpacked into its files", () => {
    const files = unpack(gzipSync(ARCHIVE));
    expect([...files.keys()]).toEqual(FILES.map(({ path }) => path));
    for (const { path, content } of FILES) expect(files.get(path)?.equals(content)).toBe(true);
  });

  it.each([512, 1_024, ARCHIVE.length - 1_024])("that ends after %i bytes is refused", (bytes) => {
    expect(() => unpack(gzipSync(ARCHIVE.subarray(0, bytes)))).toThrow("ends in the middle");
  });

  it("with a damaged header, or with something other than plain files, is refused", () => {
    const damaged = Buffer.from(ARCHIVE);
    damaged[3] = 0x58;
    expect(() => unpack(gzipSync(damaged))).toThrow("does not write");
    const link = Buffer.from(ARCHIVE);
    link[156] = 0x32; // a symbolic link, with its checksum corrected
    link.write((Number.parseInt(link.toString("utf8", 148, 154), 8) + 2).toString(8).padStart(6, "0"), 148);
    expect(() => unpack(gzipSync(link))).toThrow("does not write");
  });

  it("with a size below zero is refused, and not read for ever", () => {
    const header = Buffer.from(ARCHIVE);
    header.write("-0000001000\0", 124, "latin1");
    header.write("        ", 148);
    const sum = header.subarray(0, 512).reduce((all, byte) => all + byte, 0);
    header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
    expect(() => unpack(gzipSync(header))).toThrow("does not write");
  });

  it("that would fill memory is refused", () => {
    expect(() => unpack(gzipSync(Buffer.alloc(65 * 1024 * 1024)))).toThrow();
  });
});

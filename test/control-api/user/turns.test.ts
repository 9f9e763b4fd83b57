import { describe, expect, it } from "vitest";
import { Turns } from "../../../control-api/src/user/turns.ts";

/** A change that ends when the test says so. */
function step(log: string[], name: string) {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const change = async (): Promise<string> => {
    log.push(`${name} begins`);
    await promise.finally(() => log.push(`${name} ends`));
    return name;
  };
  return { change, end: resolve, fail: () => reject(new Error(name)) };
}

describe("changes of machines", () => {
  it("wait for an earlier change of the same machine, and not for one of another machine", async () => {
    const [turns, log] = [new Turns(), [] as string[]];
    const [first, second, other] = [step(log, "first"), step(log, "second"), step(log, "other")];
    const ends = [
      turns.take(["attic"], first.change),
      turns.take(["attic"], second.change),
      turns.take(["barn"], other.change),
    ];
    other.end();
    expect(await ends[2]).toBe("other");
    expect(log).toEqual(["first begins", "other begins", "other ends"]);
    first.end();
    second.end();
    expect(await Promise.all(ends)).toEqual(["first", "second", "other"]);
    expect(log.slice(3)).toEqual(["first ends", "second begins", "second ends"]);
  });

  it("of two machines wait for both, and keep both from others", async () => {
    const [turns, log] = [new Turns(), [] as string[]];
    const [attic, rename, loft] = [step(log, "attic"), step(log, "rename"), step(log, "loft")];
    const ends = [
      turns.take(["attic"], attic.change),
      turns.take(["loft", "attic"], rename.change),
      turns.take(["loft"], loft.change),
    ];
    loft.end();
    rename.end();
    attic.end();
    await Promise.all(ends);
    expect(log.filter((line) => line.endsWith("begins"))).toEqual(["attic begins", "rename begins", "loft begins"]);
  });

  it("that fail report to their caller only, and the next one runs", async () => {
    const [turns, log] = [new Turns(), [] as string[]];
    const [broken, next] = [step(log, "broken"), step(log, "next")];
    const failing = turns.take(["attic"], broken.change);
    const following = turns.take(["attic"], next.change);
    broken.fail();
    next.end();
    await expect(failing).rejects.toThrow("broken");
    expect(await following).toBe("next");
  });

  it("in progress can be awaited, whichever machine they concern", async () => {
    const [turns, log] = [new Turns(), [] as string[]];
    const [attic, barn] = [step(log, "attic"), step(log, "barn")];
    void turns.take(["attic"], attic.change);
    void turns.take(["barn"], barn.change);
    const settled = turns.settled().then(() => log.push("settled"));
    barn.end();
    attic.end();
    await settled;
    expect(log.at(-1)).toBe("settled");
    expect(log).toContain("attic ends");
    expect(log).toContain("barn ends");
  });
});

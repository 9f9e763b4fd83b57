import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { EventFrame } from "#protocol/control.ts";
import { CodezFailure } from "../../../scripts/codez/failure.ts";
import { ProfileFolder } from "../../../scripts/codez/profile/profile-folder.ts";
import { EventSpool } from "../../../scripts/connector/event-spool.ts";
import { polledEvents } from "../../../scripts/connector/polled-events.ts";
import { membersOf, spanAt } from "../../../scripts/connector/stdio/json-span.ts";
import { ConfigInvalid, readConfig } from "../../../scripts/serve/config-file.ts";
import { readHead } from "../../../scripts/serve/history/head.ts";
import { readLines, readLinesBackward } from "../../../scripts/serve/history/line-reader.ts";
import { readLine } from "../../../scripts/serve/history/transcript-line.ts";
import { readPage } from "../../../scripts/serve/history/transcript-page.ts";
import { findRunning } from "../../../scripts/serve/running-file.ts";
import { isoTime } from "#protocol/iso-time.ts";
import { holderOf } from "../../../scripts/system/lock.ts";
import { FILES, LOCK_LINKS, TIMES } from "../corpus/machine-side.ts";

/**
 * What a hub, an MCP server, a crash or another program wrote was parsed by code that was only ever shown what `codez` itself
 * writes. Each parser here is given anything: it answers with a value of its type or its own error, never with another one.
 */

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "codez-parsers-"));
  path = join(folder, "file");
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Anything that may be in a file: text, JSON, and JSON that is cut off. */
const content = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.json(),
  fc.tuple(fc.json(), fc.nat(200)).map(([json, length]) => json.slice(0, length)),
  fc.array(fc.json(), { maxLength: 5 }).map((lines) => lines.join("\n")),
);

const time = fc.oneof(fc.constantFrom(...TIMES), fc.double(), fc.integer());

/** A property over one value, the corpus first. */
function holdsFor<Value>(
  arbitrary: fc.Arbitrary<Value>,
  corpus: readonly Value[],
  holds: (value: Value) => void,
): void {
  fc.assert(fc.property(arbitrary, holds), { examples: corpus.map((value): [Value] => [value]), numRuns: 300 });
}

function holdsLater<Value>(
  arbitrary: fc.Arbitrary<Value>,
  corpus: readonly Value[],
  holds: (value: Value) => Promise<void>,
): Promise<void> {
  const examples = corpus.map((value): [Value] => [value]);
  return fc.assert(fc.asyncProperty(arbitrary, holds), { examples, numRuns: 200 });
}

describe("files of codez", () => {
  it("a profile is read, or fails with an error that says what to do", () => {
    const profiles = new ProfileFolder(folder);
    path = profiles.file("attic", ".json");
    profiles.linkKey("attic"); // makes the folder
    holdsFor(content, FILES, (text) => {
      writeFileSync(path, text);
      try {
        profiles.read("attic");
      } catch (reason) {
        expect(reason).toBeInstanceOf(CodezFailure);
      }
    });
  });

  it("a lock names a possible process, or counts as free", () => {
    holdsFor(content, FILES, (text) => {
      writeFileSync(path, text);
      expect(holderOf(path)?.pid ?? 1).toBeGreaterThan(0);
    });
  });

  it("a lock on a full disk names a possible process, or counts as free", () => {
    const target = fc.string({ minLength: 1, maxLength: 50 }).filter((text) => !text.includes("\u0000"));
    holdsFor(
      fc.oneof(
        target,
        fc.tuple(fc.constantFrom("c", "o", "f"), target).map(([letter, rest]) => `codez:${letter}:${rest}`),
      ),
      LOCK_LINKS,
      (text) => {
        rmSync(path, { force: true });
        symlinkSync(text, path);
        expect(holderOf(path)?.pid ?? 1).toBeGreaterThan(0);
      },
    );
  });

  it("a spool opens whatever its file contains, and continues its numbering", () => {
    holdsFor(content, FILES, (text) => {
      writeFileSync(path, text);
      const spool = new EventSpool(path);
      spool.append([{ atMs: 1, type: "t", session: null }]);
      expect(spool.waiting).toBeGreaterThan(0);
      expect(new EventSpool(path).waiting).toBe(spool.waiting);
    });
  });

  it("the file of a running serve names a possible one, or nothing", async () => {
    await holdsLater(content, FILES, async (text) => {
      writeFileSync(path, text);
      expect(findRunning(path)?.pid ?? 1).toBeGreaterThan(0);
    });
  });

  it("serve.json is read as a policy, or fails with what is wrong", () => {
    const settings = fc.dictionary(
      fc.constantFrom("readOnly", "drive", "port", "commands", "trust", "colour", "__proto__"),
      fc.jsonValue(),
    );
    holdsFor(
      fc.oneof(
        content,
        settings.map((value) => JSON.stringify(value)),
      ),
      FILES,
      (text) => {
        writeFileSync(path, text);
        try {
          expect(typeof readConfig(path).readOnly).toBe("boolean");
        } catch (reason) {
          expect(reason).toBeInstanceOf(ConfigInvalid);
        }
      },
    );
  });
});

describe("transcripts, which a repository or a model may write", () => {
  it("lines are the same when read forwards and backwards", async () => {
    const lines = fc.array(fc.oneof(fc.string(), fc.json(), fc.constant("")), { maxLength: 30 });
    await holdsLater(
      lines.map((all) => all.join("\n")),
      FILES,
      async (text) => {
        writeFileSync(path, text);
        const bytes = Buffer.byteLength(text);
        const file = await open(path);
        try {
          const forwards: unknown[] = [];
          for await (const batch of readLines(file, 0)) forwards.push(...batch.lines);
          const backwards: unknown[] = [];
          for await (const line of readLinesBackward(file, bytes)) backwards.unshift(line);
          expect(backwards).toEqual(forwards);
        } finally {
          await file.close();
        }
      },
    );
  });

  it("a line, a head and a page are read or skipped, whatever they contain", async () => {
    const key = fc.constantFrom(
      "type",
      "message",
      "content",
      "usage",
      "timestamp",
      "cwd",
      "role",
      "summary",
      "modelUsage",
    );
    const line = fc
      .dictionary(key, fc.oneof(fc.jsonValue(), fc.constantFrom("user", "assistant", "summary", "cost-state")))
      .map((value) => JSON.stringify(value));
    await holdsLater(
      fc.oneof(
        content,
        line,
        fc.array(line).map((all) => `${all.join("\n")}\n`),
      ),
      FILES,
      async (text) => {
        for (const one of text.split("\n")) readLine(one);
        writeFileSync(path, text);
        await readHead(path);
        await readPage(path, null, 10);
      },
    );
  });
});

describe("messages of an MCP server", () => {
  it("become events that Operator accepts, or none, so that a bad event cannot end the link repeatedly", () => {
    const event = fc.record(
      {
        type: fc.oneof(fc.string(), fc.string({ minLength: 60, maxLength: 200 })),
        session: fc.jsonValue(),
        atMs: time,
        timestamp: fc.oneof(time, fc.string()),
        data: fc.jsonValue(),
      },
      { requiredKeys: [] },
    );
    const result = fc.oneof(
      fc.record({ structuredContent: fc.record({ events: fc.array(fc.oneof(event, fc.jsonValue())) }) }),
      fc.jsonValue(),
    );
    const long = { session: "s".repeat(100_000), type: "t".repeat(100_000), data: "d".repeat(100_000) };
    const corpus = [
      { structuredContent: { events: [long] } },
      ...TIMES.map((atMs) => ({ structuredContent: { events: [{ atMs }, { timestamp: atMs }] } })),
    ];
    holdsFor<unknown>(result, corpus, (value) => {
      const { events } = polledEvents(value, 1);
      rmSync(path, { force: true });
      const spool = new EventSpool(path);
      spool.append(events);
      for (const { seq, json } of spool.after(0, 100)) {
        expect(json.length).toBeLessThan(70_000);
        const frame = { type: "event", first: seq, events: [JSON.parse(json) as unknown] };
        expect(EventFrame.safeParse(frame).success, json.slice(0, 200)).toBe(true);
      }
    });
  });

  it("are split into members whose spans are exact to the byte", () => {
    const object = fc.dictionary(fc.string(), fc.jsonValue());
    holdsFor(object, [{ "": 1 }, { '"': "\\" }, { a: { b: ["}", '"'] } }], (value) => {
      const json = Buffer.from(JSON.stringify(value)).toString("latin1");
      for (const [key, member] of Object.entries(value)) {
        if (/[^ -~]/.test(key)) continue; // keys are compared in latin1, and MCP's own are ASCII
        const span = spanAt(json, key);
        expect(Buffer.from(json.slice(span?.start, span?.end), "latin1").toString()).toBe(JSON.stringify(member));
      }
    });
  });

  it("are scanned quickly even if they are not JSON", () => {
    holdsFor(content, FILES, (text) => {
      membersOf(text);
      spanAt(text, "params", "_meta");
    });
  });
});

it("may hold any number as a time, and it can be printed", () => {
  holdsFor(time, TIMES, (ms) => {
    expect(isoTime(ms).length).toBeGreaterThan(0);
  });
});

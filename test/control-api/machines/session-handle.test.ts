import * as fc from "fast-check";
import { expect, it } from "vitest";
import { isMachineName } from "#protocol/slug.ts";
import { parseSessionHandle, sessionHandle } from "../../../control-api/src/machines/session-handle.ts";

const name = fc.stringMatching(/^[a-z0-9](-?[a-z0-9]){0,15}$/).filter(isMachineName);

it("a handle contains the machine and the machine's own session id, whatever that id is", () => {
  fc.assert(
    fc.property(name, fc.string({ unit: "grapheme" }), (machine, session) => {
      expect(parseSessionHandle(sessionHandle(machine, session))).toEqual({ machine, session });
    }),
  );
});

it.each(["3f2a", "", "/3f2a", "Attic/3f2a", "a--b/3f2a", "../3f2a", "api/3f2a", "attic.lan/3f2a"])(
  "%j is a bare id",
  (text) => {
    expect(parseSessionHandle(text)).toEqual({ machine: null, session: text });
  },
);

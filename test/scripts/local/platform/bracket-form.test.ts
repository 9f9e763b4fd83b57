import { expect, test } from "vitest";
import { readBracketForm } from "../../../../scripts/local/platform/bracket-form.ts";

test("lists of objects begin anew where a key comes again, and nested lists stay with theirs", () => {
  const form: [string, string][] = [
    ["metadata[main_module]", "index.js"],
    ["metadata[tags][]", "a"],
    ["metadata[tags][]", "b"],
    ["metadata[bindings][][type]", "plain_text"],
    ["metadata[bindings][][name]", "ONE"],
    ["metadata[bindings][][text]", "1"],
    ["metadata[bindings][][type]", "durable_object_namespace"],
    ["metadata[bindings][][name]", "TWO"],
    ["metadata[migrations][steps][][new_classes][]", "A"],
    ["metadata[migrations][steps][][new_classes][]", "B"],
    ["other", "ignored"],
  ];
  expect(structuredClone(readBracketForm(form, "metadata"))).toEqual({
    main_module: "index.js",
    tags: ["a", "b"],
    bindings: [
      { type: "plain_text", name: "ONE", text: "1" },
      { type: "durable_object_namespace", name: "TWO" },
    ],
    migrations: { steps: [{ new_classes: ["A", "B"] }] },
  });
});

test("a form without such fields is none, and no field reaches a prototype", () => {
  expect(readBracketForm([["file", "x"]], "metadata")).toBeNull();
  readBracketForm([["metadata[__proto__][polluted]", "yes"]], "metadata");
  expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
});

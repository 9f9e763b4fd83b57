import type { ScriptUpdateParams } from "cloudflare/resources/workers-for-platforms/dispatch/namespaces/scripts/scripts";
import { describe, expect, expectTypeOf, test } from "vitest";
import { Binding, Metadata } from "../../../../scripts/local/platform/metadata.ts";

// The SDK's types are generated from Cloudflare's own OpenAPI schema, so these comparisons run in the type check.
type Official = ScriptUpdateParams.Metadata;
type OfficialBinding = NonNullable<Official["bindings"]>[number];
type Same<Kind extends Binding["type"]> = keyof Extract<OfficialBinding, { type: Kind }>;

describe("the metadata that the platform accepts", () => {
  test("has only fields of Cloudflare's schema, and all of those except the refused ones", () => {
    expectTypeOf<keyof Metadata>().toEqualTypeOf<Exclude<keyof Official, "assets" | "exports">>();
    expect(Metadata.safeParse({ main_module: "a.js", exports: {} }).error?.issues[0]?.message).toContain("exports");
  });

  test("has bindings with only the fields that Cloudflare's schema has for their type", () => {
    type Foreign<Kind extends Binding["type"]> = Exclude<keyof Extract<Binding, { type: Kind }>, Same<Kind>>;
    type AllForeign = { [Kind in Binding["type"]]: Foreign<Kind> }[Binding["type"]];
    expectTypeOf<AllForeign>().toEqualTypeOf<never>();
    expectTypeOf<Binding["type"]>().toExtend<OfficialBinding["type"]>();
  });

  test("has the fields of Cloudflare's observability settings", () => {
    type Ours = NonNullable<Metadata["observability"]>;
    type Theirs = NonNullable<Official["observability"]>;
    expectTypeOf<keyof Ours>().toEqualTypeOf<keyof Theirs>();
    expectTypeOf<keyof NonNullable<Ours["logs"]>>().toEqualTypeOf<keyof NonNullable<Theirs["logs"]>>();
    expectTypeOf<keyof NonNullable<Ours["traces"]>>().toEqualTypeOf<keyof NonNullable<Theirs["traces"]>>();
  });

  const script = (name: string) => ({ type: "plain_text", name, text: "" });

  test.each([
    ["an unknown field of a binding", { bindings: [{ ...script("A"), value: "x" }] }, "value"],
    ["an unknown field of a migration", { migrations: { new_tag: "v1", new_sqlite_class: ["A"] } }, "new_sqlite_class"],
    ["an unknown field of observability", { observability: { enabled: true, log: {} } }, "log"],
    ["observability that is no object", { observability: true }, "expected object"],
    ["a binding type to keep that does not exist", { keep_bindings: ["secrets"] }, "expected one of"],
    ["two bindings of one name", { bindings: [script("A"), script("A")] }, "same name"],
    ["a text of more than 5 KB", { bindings: [{ ...script("A"), text: "x".repeat(5121) }] }, "5120 bytes"],
    ["experimental flags", { compatibility_flags: ["nodejs_compat", "experimental"] }, "cannot yet be used"],
    ["flags for Python", { compatibility_flags: ["python_workers"] }, "no Python"],
    ["129 bindings", { bindings: Array.from({ length: 129 }, (_, at) => script(`A${at}`)) }, "at most 128 bindings"],
  ])("is refused with %s", (_, wrong, why) => {
    const [issue] = Metadata.safeParse({ main_module: "index.js", ...wrong }).error?.issues ?? [];
    expect(issue?.message).toContain(why);
  });
});

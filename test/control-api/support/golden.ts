export type { UploadPart } from "../../support/stand-in/wrangler-upload.ts";

/** Bindings without their texts, in the order of their names. */
export function shapesOf(bindings: unknown): Record<string, unknown>[] {
  return (bindings as Record<string, unknown>[])
    .map((binding): Record<string, unknown> => ("text" in binding ? { ...binding, text: "" } : binding))
    .sort((one, other) => String(one["name"]).localeCompare(String(other["name"])));
}

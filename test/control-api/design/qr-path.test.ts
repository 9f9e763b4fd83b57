import { expect, test } from "vitest";
import { qrPathOf } from "../../../control-api/src/design/qr-path.ts";
import { scanned } from "../support/camera.ts";

test("a QR code can be read by a camera", () => {
  for (const text of [
    "https://operator.example.com/pair",
    "https://operator.example.com/invite#ABCD-EFGH-JKLM-NPQR-STUV",
    `https://operator.example.com/${"x".repeat(300)}?q=%C3%A4&r="<>`,
  ]) {
    const { size, path } = qrPathOf(text);
    expect(scanned(`<svg class="qr" viewBox="0 0 ${size} ${size}"><path d="${path}" /></svg>`)).toBe(text);
  }
});

import { describe, expect, test } from "vitest";
import { hasBrowser } from "../../../../scripts/codez/sign-in/browser.ts";

describe("codez opens a browser", () => {
  test("where a person sits at a screen", () => {
    expect(hasBrowser({}, "darwin", true)).toBe(true);
    expect(hasBrowser({}, "win32", true)).toBe(true);
    expect(hasBrowser({ DISPLAY: ":0" }, "linux", true)).toBe(true);
    expect(hasBrowser({ WAYLAND_DISPLAY: "wayland-0" }, "linux", true)).toBe(true);
  });

  test("and not where nobody does", () => {
    expect(hasBrowser({}, "linux", true)).toBe(false);
    expect(hasBrowser({ DISPLAY: ":0" }, "linux", false)).toBe(false);
    expect(hasBrowser({ DISPLAY: ":0", SSH_CONNECTION: "x" }, "linux", true)).toBe(false);
    expect(hasBrowser({ SSH_TTY: "/dev/pts/0" }, "darwin", true)).toBe(false);
  });

  test("unless it is told otherwise", () => {
    expect(hasBrowser({ CODEZ_SIGN_IN: "device" }, "darwin", true)).toBe(false);
    expect(hasBrowser({ CODEZ_SIGN_IN: "browser" }, "linux", false)).toBe(true);
  });
});

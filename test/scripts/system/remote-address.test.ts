import { expect, it } from "vitest";
import { withoutCredentials } from "../../../scripts/system/remote-address.ts";

it.each([
  ["https://me:SECRET@host.example/repo", "https://host.example/repo"],
  ["https://SECRET@host.example/repo", "https://host.example/repo"],
  ["HTTPS://me:SECRET@host.example/repo", "HTTPS://host.example/repo"],
  ["https://me:SEC@RET@host.example/repo", "https://host.example/repo"],
  ['https://me:SEC"RET@host.example/repo', "https://host.example/repo"],
  ["https://SEC#RET@host.example/repo", "https://host.example/repo"],
  ["https://me:SEC/RET@host.example/repo", "https://host.example/repo"],
  ["git+ssh://me:SECRET@host.example/repo", "git+ssh://host.example/repo"],
  ["ssh://me:SECRET@host.example/repo", "ssh://host.example/repo"],
  ["ssh://me%3aSECRET@host.example/repo", "ssh://host.example/repo"],
  ["https:/me:SECRET@host.example/repo", "https:/host.example/repo"],
  ["me:SEC@RET@host.example:repo", "host.example:repo"],
  ["//me:SECRET@host.example/repo", "//host.example/repo"],
  ["https:\\\\me:SECRET@host.example/repo", "https:\\\\host.example/repo"],
  ["https:\\\\SECRET@host.example/repo", "https:\\\\host.example/repo"],
  ["codecommit::https://me:SECRET@host.example/repo", "codecommit::https://host.example/repo"],
  ["codecommit::https://SECRET@host.example/repo", "codecommit::https://host.example/repo"],
])("takes the secret out of %s", (remote, shown) => {
  expect(withoutCredentials(remote)).toBe(shown);
});

it.each([
  "https://host.example/@scope/repo@v1",
  "ssh://git@host.example:22/repo",
  "git@host.example:owner/repo.git",
  "/srv/git/repo.git",
  "file:///srv/git/repo.git",
  "../repo",
  "git@host.example:@scope/repo",
  "C:\\repos\\me@work",
])("leaves %s as it is", (remote) => {
  expect(withoutCredentials(remote)).toBe(remote);
});

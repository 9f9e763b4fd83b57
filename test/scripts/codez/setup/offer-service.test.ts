import { expect, it } from "vitest";
import { ExitCode } from "../../../../scripts/codez/exit-code.ts";
import { CodezFailure } from "../../../../scripts/codez/failure.ts";
import { offerService } from "../../../../scripts/codez/setup/offer-service.ts";

const FAILURE = new CodezFailure(ExitCode.SERVICE_FAILED, "The service was not installed: no systemd", "a fix");

function offered(given: boolean | undefined, answer: boolean, install: () => Promise<string[]>) {
  const said: string[] = [];
  const isService = offerService({
    given,
    wants: () => Promise.resolve(answer),
    install,
    say: (line) => void said.push(line),
  });
  return { isService, said };
}

const installs = () => Promise.resolve(["service installed"]);
const fails = () => Promise.reject(FAILURE);

it.each([
  [true, false, true],
  [undefined, true, true],
  [undefined, false, false],
  [false, true, false],
])("an option that says %s and a person who says %s: the service is installed is %s", async (given, answer, is) => {
  const { isService, said } = offered(given, answer, installs);
  expect(await isService).toBe(is);
  expect(said).toEqual(is ? ["service installed"] : []);
});

it("a person on a computer that cannot have a service is connected in the terminal, and told why", async () => {
  const { isService, said } = offered(undefined, true, fails);
  expect(await isService).toBe(false);
  expect(said).toEqual([`warning: ${FAILURE.message}`, "connecting in this terminal instead"]);
});

it("a service that an option asked for and that cannot be installed is a failure", async () => {
  await expect(offered(true, false, fails).isService).rejects.toThrow(FAILURE);
});

import { Visitor } from "../../sign-in/support/visitor.ts";
import { directory } from "../../sign-in/support/visitor.ts";
import { TestUser } from "../../support/operator.ts";

/** Somebody who is signed in with a browser, and whose machines the test makes as it likes. */
export type Somebody = { readonly browser: Visitor & { name: string }; readonly user: TestUser };

export async function somebody(): Promise<Somebody> {
  const browser = await Visitor.invited();
  const people = await directory().people();
  const found = people.find(({ name }) => name === browser.name);
  if (found === undefined) throw new Error("the person who was just invited is not in the directory");
  return { browser, user: new TestUser(found.id) };
}

export async function pageOf({ browser }: Somebody, path: string): Promise<string> {
  const response = await browser.get(path);
  if (response.status !== 200) throw new Error(`${path}: HTTP ${response.status}`);
  return response.text();
}

/** The text of a page, without its markup. */
export function textOf(page: string): string {
  return page.replaceAll(/<[^>]*>/g, " ").replaceAll(/\s+/g, " ");
}

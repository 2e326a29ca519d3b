// What every client is asked to do, and how it says what came of it: a line of JSON for each scenario.
import assert from "node:assert/strict";
import { readSync } from "node:fs";

export const { ROM_URL: URL, ROM_KEY: KEY, ROM_MODEL: MODEL } = process.env;
export const QUESTION = "Quais são os prazos do processo?";
export const TOOL_QUESTION = '[[tools=1]] [[tool=weather]] [[input={"town": "Santos"}]] Como está o tempo?';
export const THROTTLED = `[[fault=429]] Quais são os prazos? (${process.env.ROM_CLIENT})`;
export const SYSTEM = "Seja breve.";
export const WEATHER = { type: "object", properties: { town: { type: "string" } }, required: ["town"] };
export const TOWN = {
  type: "object",
  properties: { town: { type: "string" }, people: { type: "integer" } },
  required: ["town", "people"],
  additionalProperties: false,
};

export function weather({ town }) {
  assert.equal(town, "Santos");
  return "25 graus";
}

/** Pass if `ask` is refused with this HTTP status. */
export async function refused(ask, status) {
  try {
    await ask();
  } catch (error) {
    let seen = error;
    const found = [];
    while (seen) {
      found.push(seen.status ?? seen.statusCode ?? seen.lastError?.statusCode);
      seen = seen.cause;
    }
    assert.ok(found.includes(status), `${error}: ${found}`);
    return;
  }
  assert.fail("nothing was thrown");
}

/** Run those that the command line names, or all, and print what came of each; each waits for a line of input. */
export async function play(scenarios) {
  for (const [name, scenario] of Object.entries(scenarios)) {
    if (process.argv.length > 2 && !process.argv.includes(name)) continue;
    console.log(JSON.stringify({ begin: name }));
    readSync(0, Buffer.alloc(1));
    let error = "";
    try {
      await scenario();
    } catch (failure) {
      error = String(failure).slice(0, 1000);
    }
    console.log(JSON.stringify({ scenario: name, error }));
  }
}

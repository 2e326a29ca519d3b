// The AI SDK with its provider that the command line names: openai (chat completions) or anthropic.
import assert from "node:assert/strict";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { Output, generateText, isStepCount, jsonSchema, streamText, tool } from "ai";
import { KEY, MODEL, QUESTION, SYSTEM, THROTTLED, TOOL_QUESTION, TOWN, URL, WEATHER, play, refused, weather } from "./scenarios.mjs";

const [dialect] = process.argv.splice(2, 1);
const openai = createOpenAI({ baseURL: `${URL}/v1`, apiKey: KEY });
const anthropic = createAnthropic({ baseURL: `${URL}/v1`, apiKey: KEY });
const named = (name) => (dialect === "openai" ? openai.chat(name) : anthropic(name));
const model = named(MODEL);
const tools = { weather: tool({ description: "The weather.", inputSchema: jsonSchema(WEATHER), execute: weather }) };
const user = (content) => ({ role: "user", content });

await play({
  chat: async () => assert.ok((await generateText({ model, prompt: QUESTION })).text),
  stream: async () => {
    let text = "";
    for await (const piece of streamText({ model, prompt: QUESTION }).textStream) text += piece;
    assert.ok(text);
  },
  turns: async () => {
    const first = await generateText({ model, prompt: QUESTION });
    const said = first.responseMessages ?? first.response.messages;
    const messages = [user(QUESTION), ...said, user("E depois?")];
    assert.ok((await generateText({ model, instructions: SYSTEM, messages })).text);
  },
  tools: async () => {
    const answer = await generateText({ model, prompt: TOOL_QUESTION, tools, stopWhen: isStepCount(3) });
    assert.equal(answer.steps.length, 2);
    assert.ok(answer.text);
  },
  structured: async () => {
    const answer = await generateText({ model, prompt: "Qual cidade?", output: Output.object({ schema: jsonSchema(TOWN) }) });
    assert.equal(typeof answer.output.town, "string");
  },
  refusal: () => refused(() => generateText({ model: named("gone"), prompt: "oi" }), 404),
  throttled: () => refused(() => generateText({ model, prompt: THROTTLED, maxRetries: 1 }), 429),
});

// The official Anthropic client.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { KEY, MODEL, QUESTION, SYSTEM, THROTTLED, TOOL_QUESTION, TOWN, URL, WEATHER, play, refused, weather } from "./scenarios.mjs";

const client = new Anthropic({ baseURL: URL, apiKey: KEY });
const tools = [{ name: "weather", input_schema: WEATHER }];
const user = (content) => ({ role: "user", content });
const asked = (messages, more) => ({ model: MODEL, messages, max_tokens: 500, ...more });
const ask = (messages, more = {}) => client.messages.create(asked(messages, more));

await play({
  chat: async () => assert.ok((await ask([user(QUESTION)])).content[0].text),
  stream: async () => {
    const stream = client.messages.stream(asked([user(QUESTION)]));
    const message = await stream.finalMessage();
    assert.ok(message.content[0].text);
    assert.ok(message.usage.output_tokens);
  },
  turns: async () => {
    const first = (await ask([user(QUESTION)])).content;
    const messages = [user(QUESTION), { role: "assistant", content: first }, user("E depois?")];
    assert.ok((await ask(messages, { system: SYSTEM })).content.length);
  },
  tools: async () => {
    const { content } = await ask([user(TOOL_QUESTION)], { tools });
    const call = content.at(-1);
    const result = { type: "tool_result", tool_use_id: call.id, content: weather(call.input) };
    const messages = [user(TOOL_QUESTION), { role: "assistant", content }, user([result])];
    assert.ok((await ask(messages, { tools })).content[0].text);
  },
  structured: async () => {
    const output_config = { format: { type: "json_schema", schema: TOWN } };
    const answer = await ask([user("Qual cidade?")], { output_config });
    assert.equal(typeof JSON.parse(answer.content[0].text).town, "string");
  },
  refusal: () => refused(() => ask([user("oi")], { model: "gone" }), 404),
  throttled: () => refused(() => ask([user(THROTTLED)]), 429),
});

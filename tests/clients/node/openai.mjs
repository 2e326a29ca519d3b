// The official OpenAI client.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { KEY, MODEL, QUESTION, SYSTEM, THROTTLED, TOOL_QUESTION, TOWN, URL, WEATHER, play, refused, weather } from "./scenarios.mjs";

const client = new OpenAI({ baseURL: `${URL}/v1`, apiKey: KEY });
const tools = [{ type: "function", function: { name: "weather", parameters: WEATHER } }];
const user = (content) => ({ role: "user", content });
const ask = (messages, more = {}) => client.chat.completions.create({ model: MODEL, messages, ...more });

await play({
  chat: async () => assert.ok((await ask([user(QUESTION)])).choices[0].message.content),
  stream: async () => {
    let text = "";
    for await (const chunk of await ask([user(QUESTION)], { stream: true })) text += chunk.choices[0]?.delta?.content ?? "";
    assert.ok(text);
  },
  turns: async () => {
    const first = (await ask([user(QUESTION)])).choices[0].message;
    assert.ok((await ask([{ role: "system", content: SYSTEM }, user(QUESTION), first, user("E depois?")])).choices.length);
  },
  tools: async () => {
    const asked = (await ask([user(TOOL_QUESTION)], { tools })).choices[0].message;
    const [call] = asked.tool_calls;
    const result = { role: "tool", tool_call_id: call.id, content: weather(JSON.parse(call.function.arguments)) };
    assert.ok((await ask([user(TOOL_QUESTION), asked, result], { tools })).choices[0].message.content);
  },
  structured: async () => {
    const response_format = { type: "json_schema", json_schema: { name: "town", schema: TOWN, strict: true } };
    const answer = await client.chat.completions.parse({ model: MODEL, messages: [user("Qual cidade?")], response_format });
    assert.equal(typeof JSON.parse(answer.choices[0].message.content).town, "string");
  },
  refusal: () => refused(() => ask([user("oi")], { model: "gone" }), 404),
  throttled: () => refused(() => ask([user(THROTTLED)]), 429),
});

// LangChain.js with its package that the command line names: openai or anthropic.
import assert from "node:assert/strict";
import { ChatAnthropic } from "@langchain/anthropic";
import { HumanMessage, SystemMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { KEY, MODEL, QUESTION, SYSTEM, THROTTLED, TOOL_QUESTION, TOWN, URL, WEATHER, play, refused, weather } from "./scenarios.mjs";

const [dialect] = process.argv.splice(2, 1);
// Its own six repetitions take half a minute; one shows the same.
const options = (name) => ({ model: name, apiKey: KEY, maxRetries: 1, maxTokens: 500 });
const named = (name) =>
  dialect === "openai"
    ? new ChatOpenAI({ ...options(name), configuration: { baseURL: `${URL}/v1` }, useResponsesApi: false })
    : new ChatAnthropic({ ...options(name), anthropicApiUrl: URL });
const model = named(MODEL);
const look = tool(weather, { name: "weather", description: "The weather.", schema: WEATHER });

await play({
  chat: async () => assert.ok((await model.invoke(QUESTION)).text),
  stream: async () => {
    let text = "";
    for await (const chunk of await model.stream(QUESTION)) text += chunk.text;
    assert.ok(text);
  },
  turns: async () => {
    const first = await model.invoke(QUESTION);
    const messages = [new SystemMessage(SYSTEM), new HumanMessage(QUESTION), first, new HumanMessage("E depois?")];
    assert.ok((await model.invoke(messages)).text);
  },
  tools: async () => {
    const bound = model.bindTools([look]);
    const asked = await bound.invoke(TOOL_QUESTION);
    const result = await look.invoke(asked.tool_calls[0]);
    assert.ok((await bound.invoke([new HumanMessage(TOOL_QUESTION), asked, result])).text);
  },
  structured: async () => {
    const answer = await model.withStructuredOutput(TOWN, { name: "town" }).invoke("Qual cidade?");
    assert.equal(typeof answer.town, "string");
  },
  refusal: () => refused(() => named("gone").invoke("oi"), 404),
  throttled: () => refused(() => model.invoke(THROTTLED), 429),
});

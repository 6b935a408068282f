#!/bin/sh
# LangChain's chat model for Gemini gives the results of parallel tool calls in a turn each.
#
# Gemini wants as many functionResponse parts in the turn after a model's turn as that has functionCall parts
# (https://ai.google.dev/gemini-api/docs/function-calling, "Parallel function calling"; otherwise the API answers 400,
# "Please ensure that the number of function response parts is equal to the number of function call parts of the function
# call turn"). Whoever stands between this client and Gemini has to join the turns.
#
# Wrong guess: that a vendor's integration sends two ToolMessages that follow each other as one turn, as LangChain's
# integration for Anthropic does with tool_result blocks.
#
# Output seen (Node 20, @langchain/google-genai 2.3.2, @langchain/core 1.4.0):
#     google: user model[functionCall,functionCall] user[functionResponse] user[functionResponse]
#     anthropic: user assistant[tool_use,tool_use] user[tool_result,tool_result]
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-fund --no-audit @langchain/core@1.4.0 @langchain/google-genai@2.3.2 @langchain/anthropic@1.5.11
cat > ask.mjs <<'JS'
import { createServer } from "node:http";
import { ChatAnthropic } from "@langchain/anthropic";
import { AIMessage, HumanMessage, ToolMessage } from "@langchain/core/messages";
import { ChatGoogleGenerativeAI } from "@langchain/google-genai";

const ANSWERS = {
  google: { candidates: [{ content: { role: "model", parts: [{ text: "ok" }] }, finishReason: "STOP" }] },
  anthropic: {
    id: "m", type: "message", role: "assistant", model: "m", content: [{ type: "text", text: "ok" }],
    stop_reason: "end_turn", stop_sequence: null, usage: { input_tokens: 1, output_tokens: 1 },
  },
};
let sent;
const server = createServer((request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => {
    sent = JSON.parse(Buffer.concat(pieces));
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(request.url.includes("generateContent") ? ANSWERS.google : ANSWERS.anthropic));
  });
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const base = `http://127.0.0.1:${server.address().port}`;
const call = (id) => ({ type: "tool_call", id, name: "look", args: { at: id } });
const messages = [
  new HumanMessage("Look at a and b."),
  new AIMessage({ content: "", tool_calls: [call("a"), call("b")] }),
  new ToolMessage({ content: "A", tool_call_id: "a", name: "look" }),
  new ToolMessage({ content: "B", tool_call_id: "b", name: "look" }),
];
const kinds = (parts) =>
  (Array.isArray(parts) ? parts : [])
    .map((part) => part.type ?? Object.keys(part).find((key) => key.startsWith("function")))
    .filter((kind) => kind && kind !== "text");
const show = (name, turns, parts) =>
  console.log(`${name}: ${turns.map((turn) => {
    const found = kinds(turn[parts]);
    return found.length ? `${turn.role}[${found}]` : turn.role;
  }).join(" ")}`);

await new ChatGoogleGenerativeAI({ apiKey: "k", model: "gemini-x", baseUrl: base }).invoke(messages);
show("google", sent.contents, "parts");
await new ChatAnthropic({ apiKey: "k", model: "claude-x", anthropicApiUrl: base }).invoke(messages);
show("anthropic", sent.messages, "content");
server.close();
JS
node ask.mjs | tee seen
grep -q 'user\[functionResponse\] user\[functionResponse\]' seen
grep -q 'user\[tool_result,tool_result\]' seen

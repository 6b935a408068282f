#!/bin/sh
# Vercel's AI SDK tells Gemini that an argument is a boolean, if a tool takes any value there.
#
# In JSON Schema, true is a schema: that of any value (https://json-schema.org/draft/2020-12/json-schema-core, section
# 4.3.2). Rust's schemars, with which many MCP servers describe their tools, writes it for serde_json::Value, where
# others write {}.
#
# Wrong guess: that a tool's schema which an MCP server lists and a vendor takes arrives there with its meaning.
# @ai-sdk/google rewrites schemas for Gemini, and takes true and false for the type of a value. A model that is asked
# for a row of cells may give nothing but true and false, and no error says why. {} arrives as it is, and so does true
# on the way to OpenAI.
#
# Output seen (cargo 1.95.0, schemars 1.2.3, serde_json 1.0.154; Node 20, ai 6.0.326, @ai-sdk/google 3.0.141,
# @ai-sdk/openai 3.0.141):
#     schemars: {"items":true,"type":"array"}
#     google: {"type":"array","items":{"type":"boolean","properties":{}}}
#     google, with {}: {"type":"array","items":{}}
#     openai: {"items":true,"type":"array"}
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "describe"
version = "0.0.0"
edition = "2021"

[dependencies]
schemars = { version = "=1.2.3", default-features = false, features = ["std"] }
serde_json = "=1.0.154"
TOML
cat > src/main.rs <<'RUST'
fn main() {
    let mut schema = schemars::schema_for!(Vec<serde_json::Value>);
    schema.remove("$schema");
    schema.remove("title");
    println!("{}", schema.as_value());
}
RUST
cargo run --quiet > row.json
npm install --silent --no-fund --no-audit ai@6.0.326 @ai-sdk/google@3.0.141 @ai-sdk/openai@3.0.141
cat > ask.mjs <<'JS'
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, jsonSchema, tool } from "ai";

const ANSWERS = {
  google: { candidates: [{ content: { role: "model", parts: [{ text: "ok" }] }, finishReason: "STOP" }] },
  openai: {
    id: "c", object: "chat.completion", created: 1, model: "m",
    choices: [{ index: 0, message: { role: "assistant", content: "ok" }, finish_reason: "stop" }],
  },
};
let sent;
const server = createServer((request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => {
    [sent] = JSON.parse(Buffer.concat(pieces)).tools;
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(ANSWERS[request.url.split("/")[1]]));
  });
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const at = (vendor) => ({ apiKey: "k", baseURL: `http://127.0.0.1:${server.address().port}/${vendor}` });
const google = createGoogleGenerativeAI(at("google"))("gemini-x");
const ask = async (model, row) => {
  const inputSchema = jsonSchema({ type: "object", properties: { row }, required: ["row"] });
  await generateText({ model, prompt: "Append a row.", tools: { append: tool({ inputSchema }) } });
  const parameters = sent.function?.parameters ?? sent.functionDeclarations[0].parameters;
  return JSON.stringify(parameters.properties.row);
};
const row = JSON.parse(readFileSync("row.json"));
console.log(`schemars: ${JSON.stringify(row)}`);
console.log(`google: ${await ask(google, row)}`);
console.log(`google, with {}: ${await ask(google, { type: "array", items: {} })}`);
console.log(`openai: ${await ask(createOpenAI(at("openai")).chat("m"), row)}`);
server.close();
JS
node ask.mjs | tee seen
grep -qx 'schemars: {"items":true,"type":"array"}' seen
grep -qx 'google: {"type":"array","items":{"type":"boolean","properties":{}}}' seen
grep -qx 'google, with {}: {"type":"array","items":{}}' seen
grep -qx 'openai: {"items":true,"type":"array"}' seen

// The vendors' own SDKs.
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI from "openai";

import { NAMES, result, SCHEMA, Told } from "./job.mjs";

async function anthropic(job) {
  const sdk = new Anthropic({ apiKey: job.key, baseURL: job.base, maxRetries: 0 });
  const told = new Told();
  const messages = [{ role: "user", content: job.prompt }];
  const asked = { model: job.model, max_tokens: 8000, system: "Be brief.", messages };
  if (job.tools) asked.tools = NAMES.map((name) => ({ name, input_schema: SCHEMA }));
  if (job.thinking) asked.thinking = { type: "enabled", budget_tokens: 2048 };
  for (;;) {
    let message;
    if (job.stream) {
      const stream = sdk.messages.stream(asked);
      stream.on("text", () => told.pieces++);
      message = await stream.finalMessage();
    } else {
      message = await sdk.messages.create(asked);
    }
    told.finishes.push(message.stop_reason);
    told.input += message.usage.input_tokens;
    told.output += message.usage.output_tokens;
    messages.push({ role: "assistant", content: message.content });
    const results = [];
    told.text = "";
    for (const block of message.content) {
      if (block.type === "text") told.text += block.text;
      if (block.type === "thinking") told.thinking += block.thinking;
      if (block.type === "tool_use") {
        told.call(block.name, block.input);
        results.push({ type: "tool_result", tool_use_id: block.id, content: result(block.name) });
      }
    }
    if (results.length === 0) return told;
    messages.push({ role: "user", content: results });
  }
}

const openai = (job) => new OpenAI({ apiKey: job.key, baseURL: `${job.base}/v1`, maxRetries: 0 });

async function chat(job) {
  const sdk = openai(job);
  const told = new Told();
  const messages = [
    { role: "system", content: "Be brief." },
    { role: "user", content: job.prompt },
  ];
  const asked = { model: job.model, messages };
  if (job.tools)
    asked.tools = NAMES.map((name) => ({ type: "function", function: { name, parameters: SCHEMA } }));
  if (job.thinking) asked.reasoning_effort = "high";
  for (;;) {
    let whole;
    if (job.stream) {
      const stream = sdk.chat.completions.stream({ ...asked, stream_options: { include_usage: true } });
      stream.on("content", () => told.pieces++);
      stream.on("chunk", (chunk) => {
        told.thinking += chunk.choices[0]?.delta?.reasoning_content ?? "";
      });
      whole = await stream.finalChatCompletion();
    } else {
      whole = await sdk.chat.completions.create(asked);
      told.thinking += whole.choices[0].message.reasoning_content ?? "";
    }
    const { message, finish_reason } = whole.choices[0];
    told.finishes.push(finish_reason);
    told.input += whole.usage.prompt_tokens;
    told.output += whole.usage.completion_tokens;
    told.text = message.content ?? "";
    // The helper adds members of its own to what is parsed.
    const { parsed, refusal, ...plain } = message;
    for (const call of plain.tool_calls ?? []) delete call.function.parsed_arguments;
    messages.push(plain);
    if (!message.tool_calls?.length) return told;
    for (const call of message.tool_calls) {
      told.call(call.function.name, JSON.parse(call.function.arguments));
      messages.push({ role: "tool", tool_call_id: call.id, content: result(call.function.name) });
    }
  }
}

async function responses(job) {
  const sdk = openai(job);
  const told = new Told();
  const input = [{ role: "user", content: job.prompt }];
  const asked = { model: job.model, instructions: "Be brief.", input, store: false };
  if (job.tools)
    asked.tools = NAMES.map((name) => ({ type: "function", name, parameters: SCHEMA, strict: false }));
  if (job.thinking) {
    asked.reasoning = { effort: "high", summary: "auto" };
    asked.include = ["reasoning.encrypted_content"];
  }
  for (;;) {
    let whole;
    if (job.stream) {
      const stream = sdk.responses.stream(asked);
      stream.on("response.output_text.delta", () => told.pieces++);
      whole = await stream.finalResponse();
    } else {
      whole = await sdk.responses.create(asked);
    }
    if (whole.status === "failed") throw new Error(`${whole.error.code}: ${whole.error.message}`);
    if (whole.status === "in_progress") throw new Error("The stream ended without its last event.");
    told.finishes.push(whole.status);
    told.input += whole.usage.input_tokens;
    told.output += whole.usage.output_tokens;
    told.text = whole.output_text;
    // The helper adds a member of its own to what is parsed.
    input.push(...whole.output.map(({ parsed_arguments, ...item }) => item));
    const calls = whole.output.filter((item) => item.type === "function_call");
    for (const item of whole.output)
      if (item.type === "reasoning") told.thinking += item.summary.map((part) => part.text).join("");
    if (calls.length === 0) return told;
    for (const call of calls) {
      told.call(call.name, JSON.parse(call.arguments));
      input.push({ type: "function_call_output", call_id: call.call_id, output: result(call.name) });
    }
  }
}

async function google(job) {
  const sdk = new GoogleGenAI({ apiKey: job.key, httpOptions: { baseUrl: job.base } });
  const told = new Told();
  const contents = [{ role: "user", parts: [{ text: job.prompt }] }];
  const config = { systemInstruction: "Be brief." };
  if (job.tools)
    config.tools = [{ functionDeclarations: NAMES.map((name) => ({ name, parametersJsonSchema: SCHEMA })) }];
  if (job.thinking) config.thinkingConfig = { includeThoughts: true, thinkingBudget: 2048 };
  for (;;) {
    const asked = { model: job.model, contents, config };
    const chunks = [];
    if (job.stream)
      for await (const chunk of await sdk.models.generateContentStream(asked)) chunks.push(chunk);
    else chunks.push(await sdk.models.generateContent(asked));
    const candidates = chunks.flatMap((chunk) => chunk.candidates ?? []);
    const parts = candidates.flatMap((one) => one.content?.parts ?? []);
    const usage = chunks.map((chunk) => chunk.usageMetadata).filter(Boolean).at(-1);
    const finish = candidates.map((one) => one.finishReason).filter(Boolean).at(-1);
    if (!finish) throw new Error("The answer has no finish reason.");
    told.finishes.push(finish);
    told.input += usage.promptTokenCount;
    told.output += (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0);
    contents.push({ role: "model", parts });
    const texts = parts.filter((part) => part.text && !part.thought);
    told.text = texts.map((part) => part.text).join("");
    told.pieces += texts.length;
    told.thinking += parts.filter((part) => part.thought).map((part) => part.text ?? "").join("");
    const calls = parts.map((part) => part.functionCall).filter(Boolean);
    if (calls.length === 0) return told;
    const results = calls.map(({ id, name }) => ({
      functionResponse: { id, name, response: { output: result(name) } },
    }));
    for (const call of calls) told.call(call.name, call.args);
    contents.push({ role: "user", parts: results });
  }
}

export const CLIENTS = {
  anthropic,
  "openai-chat": chat,
  "openai-responses": responses,
  gemini: google,
};

// Vercel's AI SDK, which runs the tools itself and asks again, with each of its providers.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";

import { NAMES, result, SCHEMA, Told } from "./job.mjs";

// Its warnings about names of models that it does not know.
globalThis.AI_SDK_LOG_WARNINGS = false;

const MODELS = {
  "ai-anthropic": (job) => createAnthropic({ apiKey: job.key, baseURL: `${job.base}/v1` })(job.model),
  "ai-openai": (job) => createOpenAI({ apiKey: job.key, baseURL: `${job.base}/v1` })(job.model),
  "ai-openai-unstored": (job) => createOpenAI({ apiKey: job.key, baseURL: `${job.base}/v1` })(job.model),
  "ai-openai-chat": (job) => createOpenAI({ apiKey: job.key, baseURL: `${job.base}/v1` }).chat(job.model),
  "ai-compatible": (job) =>
    createOpenAICompatible({ name: "gateway", apiKey: job.key, baseURL: `${job.base}/v1`, includeUsage: true })(
      job.model,
    ),
  "ai-google": (job) =>
    createGoogleGenerativeAI({ apiKey: job.key, baseURL: `${job.base}/v1beta` })(job.model),
};

/** What is sent to each provider in any case. */
const OPTIONS = { "ai-openai-unstored": { openai: { store: false } } };

/** What each provider takes for thinking. */
const THINKING = {
  "ai-anthropic": { anthropic: { thinking: { type: "enabled", budgetTokens: 2048 } } },
  "ai-openai": { openai: { reasoningEffort: "high", reasoningSummary: "auto", forceReasoning: true } },
  "ai-openai-unstored": {
    openai: { store: false, reasoningEffort: "high", reasoningSummary: "auto", forceReasoning: true },
  },
  "ai-openai-chat": { openai: { reasoningEffort: "high", forceReasoning: true } },
  "ai-compatible": { gateway: { reasoningEffort: "high" } },
  "ai-google": { google: { thinkingConfig: { includeThoughts: true, thinkingBudget: 2048 } } },
};

async function run(job) {
  const told = new Told();
  const tools = {};
  for (const name of NAMES)
    tools[name] = tool({
      description: name,
      inputSchema: jsonSchema(SCHEMA),
      execute: async (input) => {
        told.call(name, input);
        return result(name);
      },
    });
  const failed = [];
  const asked = {
    model: MODELS[job.client](job),
    instructions: "Be brief.",
    prompt: job.prompt,
    tools: job.tools ? tools : undefined,
    stopWhen: stepCountIs(4),
    maxRetries: 0,
    providerOptions: job.thinking ? THINKING[job.client] : OPTIONS[job.client],
    onError: ({ error }) => failed.push(error),
  };
  const done = job.stream ? streamText(asked) : await generateText(asked);
  if (job.stream)
    for await (const part of done.fullStream) {
      if (part.type === "text-delta") told.pieces++;
      if (part.type === "error") failed.push(part.error);
    }
  if (failed.length) throw failed[0];
  const steps = await done.steps;
  told.finishes = steps.map((step) => step.finishReason);
  told.text = await done.text;
  told.thinking = steps.map((step) => step.reasoningText ?? "").join("");
  const usage = await done.totalUsage;
  told.input = usage.inputTokens;
  told.output = usage.outputTokens;
  return told;
}

export const CLIENTS = Object.fromEntries(Object.keys(MODELS).map((name) => [name, run]));

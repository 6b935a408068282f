// LangChain's chat models.
import { ChatAnthropic } from "@langchain/anthropic";
import { HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { ChatGoogleGenerativeAI } from "@langchain/google-genai";
import { ChatOpenAI } from "@langchain/openai";

import { NAMES, result, SCHEMA, Told } from "./job.mjs";

const common = (job) => ({ apiKey: job.key, model: job.model, maxRetries: 0, streaming: job.stream });
const openai = (job, more) =>
  new ChatOpenAI({
    ...common(job),
    configuration: { baseURL: `${job.base}/v1` },
    ...(job.thinking ? { reasoning: { effort: "high", summary: "auto" } } : {}),
    ...more,
  });

const MODELS = {
  "langchain-anthropic": (job) =>
    new ChatAnthropic({
      ...common(job),
      anthropicApiUrl: job.base,
      maxTokens: 8000,
      ...(job.thinking ? { thinking: { type: "enabled", budget_tokens: 2048 } } : {}),
    }),
  "langchain-openai": (job) => openai(job, { useResponsesApi: false }),
  "langchain-responses": (job) => openai(job, { useResponsesApi: true, zdrEnabled: true }),
  "langchain-gemini": (job) => new ChatGoogleGenerativeAI({ ...common(job), baseUrl: job.base }),
};

async function run(job) {
  const told = new Told();
  const tools = NAMES.map((name) => ({ type: "function", function: { name, description: name, parameters: SCHEMA } }));
  const model = job.tools ? MODELS[job.client](job).bindTools(tools) : MODELS[job.client](job);
  const messages = [new SystemMessage("Be brief."), new HumanMessage(job.prompt)];
  for (;;) {
    let answer;
    if (job.stream)
      for await (const chunk of await model.stream(messages)) {
        if (chunk.text) told.pieces++;
        answer = answer ? answer.concat(chunk) : chunk;
      }
    else answer = await model.invoke(messages);
    const meta = answer.response_metadata ?? {};
    told.finishes.push(meta.finish_reason ?? meta.stop_reason ?? meta.finishReason ?? meta.status ?? null);
    told.text = answer.text;
    told.input += answer.usage_metadata?.input_tokens ?? 0;
    told.output += answer.usage_metadata?.output_tokens ?? 0;
    for (const block of answer.contentBlocks ?? [])
      if (block.type === "reasoning") told.thinking += block.reasoning ?? "";
    messages.push(answer);
    if (!answer.tool_calls?.length) return told;
    for (const call of answer.tool_calls) {
      told.call(call.name, call.args);
      messages.push(new ToolMessage({ content: result(call.name), tool_call_id: call.id, name: call.name }));
    }
  }
}

export const CLIENTS = Object.fromEntries(Object.keys(MODELS).map((name) => [name, run]));

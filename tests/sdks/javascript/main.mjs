// The SDKs of JavaScript: a job a line on standard input, what each understood a line on standard output.
// A job is a conversation: a prompt, and if the answer calls tools, their results and the answer to them.
import { createInterface } from "node:readline";

import * as langchain from "./langchain.mjs";
import * as vendors from "./vendors.mjs";
import * as vercel from "./vercel.mjs";

const CLIENTS = { ...vendors.CLIENTS, ...vercel.CLIENTS, ...langchain.CLIENTS };

/** The class of an error and its words, with those of what caused it. */
function explained(error) {
  const words = [];
  for (let one = error; one; one = one.cause ?? one.lastError) words.push(String(one.message ?? one));
  return {
    kind: error?.constructor?.name ?? typeof error,
    status: error?.status ?? error?.statusCode ?? null,
    message: words.join(" / "),
  };
}

// One SDK leaves a rejection behind when a stream breaks; its caller has been given the same error.
process.on("unhandledRejection", () => {});

for await (const line of createInterface({ input: process.stdin })) {
  const job = JSON.parse(line);
  let told;
  try {
    told = await CLIENTS[job.client](job);
  } catch (error) {
    told = { error: explained(error) };
  }
  process.stdout.write(JSON.stringify({ id: job.id, ...told }) + "\n");
}
process.exit(0);

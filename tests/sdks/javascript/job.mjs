// What all clients share: the tools, and what they return.
export const SCHEMA = {
  type: "object",
  properties: { path: { type: "string", description: "Where." } },
  required: ["path"],
  additionalProperties: false,
};
export const NAMES = ["Read", "Grep"];

/** What a tool returns. */
export const result = (name) => `result of ${name}`;

/** The sum of a conversation's answers: the last text, and all thinking and calls. */
export class Told {
  constructor() {
    this.text = "";
    this.thinking = "";
    this.calls = [];
    this.pieces = 0;
    this.input = 0;
    this.output = 0;
    this.finishes = [];
  }

  call(name, args) {
    this.calls.push({ name, arguments: args });
  }
}

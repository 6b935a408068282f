The Chat route takes what Cursor sends there: bodies of Responses (`input`), tools in Responses' or Anthropic's form, and Anthropic's blocks in messages; the answer is Chat's.

What a vendor's own list of models declares (limits, thinking, media, lifecycle: Anthropic, Google, OpenRouter, vLLM, LM Studio, llama.cpp,
Groq, Mistral and others) is used for requests as soon as it is known, and models that the list marks as retired are no longer shown.

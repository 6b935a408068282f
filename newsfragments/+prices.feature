`ampproxy usage` prices answers as vendors bill them: by the length of the prompt, by how long the cache keeps what was written, by fast,
flex, priority and batch service, by the day, and with what is billed beside an answer. Prices come from the package genai-prices; the
shipped table has what that lacks (gpt-6.2, Gemini 4).

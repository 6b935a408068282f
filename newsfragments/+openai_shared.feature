Between OpenAI's two dialects the marks and options of its cache, `moderation` and `verbosity` are carried, and Anthropic's `speed: fast` is OpenAI's tier `fast`.

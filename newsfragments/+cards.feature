`/v1/models`, `/v1beta/models` and the calls for one model tell of each model its lifecycle, its limits and what it can do, in the members
of each dialect: Anthropic's `capabilities`, `max_tokens` and `retires_at`, Google's `inputTokenLimit`, OpenAI's `shutdown_date`.

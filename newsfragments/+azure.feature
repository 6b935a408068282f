Azure OpenAI as an account: a ``base-url`` of any of its forms (``/openai/v1``, ``/openai/deployments/NAME?api-version=...``, the bare resource), and its ``api-key`` header.

Clients of Azure OpenAI are served with the gateway as their endpoint: below `/openai/deployments/NAME/` and `/openai/v1/`, with a client key in the header `api-key`.

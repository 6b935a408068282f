An admin API below `/ampproxy/` answers with the same as JSON; its OpenAPI document is at `/ampproxy/openapi.json`.

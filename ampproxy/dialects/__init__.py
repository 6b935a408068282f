"""The wire dialects: each parses and renders requests, answers, streams, errors and model lists."""

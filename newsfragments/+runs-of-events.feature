Long runs of events cost less: a Chat stream that passes through a sixth, a Gemini stream that is translated a fifth.

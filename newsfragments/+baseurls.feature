SDKs are served whose base URL lacks `/v1` (`/chat/completions`, `/messages`, `/models`) or has a version twice (`/v1/v1/messages`).

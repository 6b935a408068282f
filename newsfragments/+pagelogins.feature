Logins at Anthropic, OpenAI and Google can be made from the page: in the browser, by a code at OpenAI, or by pasting the address at which a browser on another machine ends.

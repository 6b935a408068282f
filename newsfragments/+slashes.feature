Base URLs with doubled or trailing slashes, with another gateway's `/openai` or `/anthropic` before the path, or with the whole path of a call are served where they show plainly what is meant.

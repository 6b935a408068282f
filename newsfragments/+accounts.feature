Accounts are chosen in turn or in order, stay with a conversation, rest when their vendor says so and are tried again; `ampproxy accounts` shows their state.

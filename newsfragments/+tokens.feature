A level of thinking is a number of tokens for servers that take such a number in place of levels (DashScope).

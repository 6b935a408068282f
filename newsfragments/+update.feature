`ampproxy models update [FILE|URL]` reads newer data about models without a release: a table such as ampproxy ships, or models.dev's list.
It runs only when asked, is shown by `ampproxy models --verbose`, and is taken back by `--undo`.

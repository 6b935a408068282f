The new setting `catalog` says what models take and can do where you know better than ampproxy, and `ampproxy models --verbose` shows what is known of each model and where that is from.

A request costs less CPU: bodies of megabytes are searched and copied less, events that arrive together are recognised in one search, and translated streams pass fewer steps.

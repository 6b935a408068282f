``passthrough-headers: true`` passes on what a vendor's headers tell of its answer, such as its rate limits.

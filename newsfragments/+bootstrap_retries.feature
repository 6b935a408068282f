`streaming.bootstrap-retries` is read: so often a stream that breaks off before its first event is asked again where no other account is left.

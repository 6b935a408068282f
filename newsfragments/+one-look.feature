A request costs a tenth less CPU: a connection's client is looked up once as long as its requests bring the same key, and what has nothing to do for a request is not entered.

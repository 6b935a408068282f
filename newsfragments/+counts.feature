Where no account that counts tokens is reached, a request to count is answered by the estimate, too (`X-Ampproxy-Estimate: tokens`).

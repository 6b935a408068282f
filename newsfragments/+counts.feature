Where no account that counts tokens is reached, or all fail, a request to count is answered by the estimate, too (`X-Ampproxy-Estimate: tokens`).

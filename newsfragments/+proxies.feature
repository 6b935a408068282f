`proxy-url`, global and per account: HTTP, HTTPS, SOCKS5 and SOCKS5h proxies.

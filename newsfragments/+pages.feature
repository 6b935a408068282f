Amp's pages work in a browser at the gateway's address: redirects, cookies and absolute URLs are rewritten, or `ampcode.browser-pages: redirect` sends the browser to the real site.

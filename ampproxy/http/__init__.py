"""HTTP/1.1 on llhttp, behind the interfaces of twisted.web and treq: the server's side and the client's."""

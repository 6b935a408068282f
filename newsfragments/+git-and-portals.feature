Amp's repositories below `/git` are forwarded with the credentials that git presents, and its pages below `/portals` as its other pages.

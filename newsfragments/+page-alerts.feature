The page shows active alerts above the requests.

"""A later release of the portal, as far as a rolling upgrade sees it: the same code and one more migration."""

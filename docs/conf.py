"""How ``make docs`` builds these pages; they read as well without."""

project = "ampproxy"
extensions = ["myst_parser"]
# The index is plain Markdown, which reads well where it is not built, too.
root_doc = "contents"
myst_heading_anchors = 3
# No lexer knows HAProxy's language; what is not coloured reads well, too.
suppress_warnings = ["misc.highlighting_failure"]
html_theme = "alabaster"
html_theme_options = {"page_width": "64em", "body_max_width": "none", "fixed_sidebar": True}

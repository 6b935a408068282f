"""The configuration file: text to frozen values, with file and line in every complaint."""

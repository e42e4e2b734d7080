"""An app for ``Row.apps``: a schema beside public, and a table that Django does not manage."""

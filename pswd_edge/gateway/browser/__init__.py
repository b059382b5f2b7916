"""The page that shows an OpenAPI document and tries its operations: one file, ours, without any other server."""

"""The pages, one a file: each has `PAGES`, which `console` turns into routes."""

"""Keeping a store for years: parts are compacted, unneeded files go, broken ones are named."""

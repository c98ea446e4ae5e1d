"""Keeping a store for years: parts are compacted, what nobody needs goes, what is broken is named."""

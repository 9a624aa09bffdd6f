"""The merged configuration of a run: its errors as sentences, and what its entries resolve to.

Everything here takes the configuration as a dictionary; the rules read and merge the files.
"""

"""Kinds of blackboxes: recorded tables, surrogates, functions and YAHPO networks, and their stored form."""

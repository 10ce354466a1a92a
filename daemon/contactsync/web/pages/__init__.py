"""The pages, in one file for each group of them."""

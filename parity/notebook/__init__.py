"""How results and captures show themselves in a notebook, and their pictures.

Nothing here is called by hand: values find it through `_repr_html_` and `.plot`. What is shown is
static HTML and SVG with its style inside, so that a page made of a notebook shows the same.
"""
